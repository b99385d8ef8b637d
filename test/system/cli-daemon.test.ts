/** `airlock run` and the commands that talk to it, as subprocesses: a round trip through everything an operator does. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KillResult, ShownLine } from "../../runtime/cli/control/requests.ts";
import type { DriverReport, MachineReport } from "../../runtime/cli/control/status.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { Daemon, airlock, isAlive, labFile, labQemuFile, mainFile, scratch } from "../fixtures/cli.ts";

let daemon: Daemon;
beforeAll(async () => { daemon = await Daemon.start(); });
afterAll(() => daemon[Symbol.asyncDispose]());

async function ps(driver: string): Promise<DriverReport> {
  const report = (await daemon.command("ps", "--json")).json() as MachineReport;
  return report.drivers.find((one) => one.driver === driver)!;
}

describe("a running machine", () => {
  test("ps shows every driver, as a table and as JSON", async () => {
    await daemon.until((entry) => entry.driver === "clock" && entry.state === "running");
    const table = await daemon.command("ps");
    expect(table.code).toBe(0);
    expect(table.stdout).toMatch(/^clock +rtc +quickjs +rtc +running +\d+ +\d+ +\d+ /m);
    expect(table.stdout).toMatch(/^console +serial +quickjs +com1 /m);
    const report = (await daemon.command("ps", "--json")).json() as MachineReport;
    expect(report).toMatchObject({ machine: "lab", platform: "sim", pid: daemon.pid });
    expect(report.drivers.map(({ driver }) => driver)).toEqual(["clock", "console"]);
  });

  test("why shows grants and the ledger; --file needs no machine", async () => {
    const running = (await daemon.command("why", "clock", "--json")).json() as { holds: { capability: string }[] };
    expect(running.holds.map(({ capability }) => capability).sort()).toEqual(["cmos", "tick"]);
    const file = await airlock(["why", "clock", "--file", labFile]);
    expect(file.code).toBe(0);
    expect(file.stdout).toContain('granted window "cmos"');
    expect(file.stdout).toMatch(/holds now:\n {2}nothing/);
  });

  test("kill makes the driver fail, tells how it was detected, and it comes back as the next generation", async () => {
    const before = BigInt((await ps("clock")).generation);
    const killed = (await daemon.command("kill", "clock", "--json")).json() as KillResult;
    expect(killed).toMatchObject({ detected: true, kind: "killed", status: { state: "running" } });
    expect(BigInt(killed.status.generation)).toBe(before + 1n);
    const hung = (await daemon.command("kill", "console", "--how", "hang", "--json")).json() as KillResult;
    expect(["turn-limit", "hang"]).toContain(hung.kind);
    expect(hung.status.recoveryP50Ms).toBeGreaterThan(0);
    expect(daemon.log.find((entry) => entry.driver === "console" && entry.failure?.kind === hung.kind)).toBeDefined();
    await daemon.until((entry) => entry.driver === "console" && entry.recoveryMs !== undefined);
  });

  test("every failure leaves a dump that trace lists, shows and converts", async () => {
    await daemon.command("kill", "clock", "--how", "throw");
    const latest = async () => ((await daemon.command("trace", "--json")).json() as { dumps: { driver: string; name: string }[] }).dumps.filter(({ driver }) => driver === "clock");
    while ((await latest()).length === 0) await new Promise((resolve) => { setTimeout(resolve, 50); });
    const shown = await daemon.command("trace", "latest", "clock", "--last", "5");
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain("driver    clock, generation");
    expect((await daemon.command("trace", (await latest())[0]!.name)).code).toBe(0);
    await using directory = await scratch();
    const out = path.join(directory.path, "out.json");
    expect((await daemon.command("trace", "latest", "--perfetto", out)).code).toBe(0);
    expect((JSON.parse(readFileSync(out, "utf8")) as { traceEvents: unknown[] }).traceEvents.length).toBeGreaterThan(1);
    const missing = await daemon.command("trace", "latest", "clok");
    expect(missing).toMatchObject({ code: 6 });
    expect(missing.stderr).toContain('did you mean "clock"?');
  });

  test("hold, restart and release", async () => {
    const held = await daemon.command("hold", "console", "--reason", "cable replaced", "--json");
    expect(held.json()).toMatchObject({ state: "held", reason: "cable replaced" });
    const refused = await daemon.command("restart", "console", "--json");
    expect(refused.code).toBe(7);
    expect(refused.json()).toMatchObject({ error: { code: "DriverUnavailable", fields: { driver: "console", state: "held" } } });
    expect((await daemon.command("kill", "console")).code).toBe(7);
    expect((await daemon.command("ps")).stdout).toContain("console is held: cable replaced");
    expect((await daemon.command("release", "console", "--json")).json()).toMatchObject({ released: true, status: { state: "running" } });
    const before = BigInt((await ps("console")).generation);
    const restarted = (await daemon.command("restart", "console", "--json")).json() as DriverReport;
    expect(restarted.state).toBe("running");
    expect(BigInt(restarted.generation)).toBe(before + 1n);
    expect((await daemon.command("release", "console")).stdout).toContain("was not held");
  });

  test("logs of one driver, by level, and following", async () => {
    const lines = (await daemon.command("logs", "clock", "--json")).stdout.trim().split("\n").map((line) => JSON.parse(line) as ShownLine);
    expect(lines.length).toBeGreaterThan(2);
    expect(new Set(lines.map(({ driver }) => driver))).toEqual(new Set(["clock"]));
    expect((await daemon.command("logs", "--lines", "1")).stdout.trim().split("\n")).toHaveLength(1);
    expect((await daemon.command("logs", "clok")).stderr).toContain('did you mean "clock"?');
  });
});

describe("wrong words", () => {
  test.each([
    [["why", "clok"], 6, 'no driver "clok" in machine "lab"; did you mean "clock"?'],
    [["kill", "consle"], 6, 'did you mean "console"?'],
    [["kill", "clock", "--how", "hnag"], 2, 'there is no fault "hnag"; did you mean "hang"?'],
    [["restrat", "clock"], 2, "Did you mean restart?"],
    [["ps", "--jsno"], 2, "Did you mean --json?"],
    [["ps", "--machine", "lab"], 2, "give --machine or --state, not both"],
  ])("%j", async (words, code, text) => {
    const result = await daemon.command(...words);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toContain(text);
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
  });
});

describe("finding the machine", () => {
  test("no machine runs: what to do", async () => {
    await using home = await scratch();
    const env = { XDG_STATE_HOME: home.path };
    expect(await airlock(["ps"], { env })).toMatchObject({ code: 6, stderr: expect.stringContaining("no machine is running; start one with") as string });
    expect(await airlock(["ps", "--machine", "lab"], { env })).toMatchObject({ code: 6, stderr: expect.stringContaining('machine "lab" is not running') as string });
    expect(await airlock(["ps", "--machine", "../lab"], { env })).toMatchObject({ code: 2 });
  });
});

describe("state that cannot be used", () => {
  test("a second daemon on the same state is told whose it is, and does not disturb the first", async () => {
    const second = await airlock(["run", labFile, "--state", daemon.state]);
    expect(second).toMatchObject({ code: 5, stdout: "" });
    expect(second.stderr).toContain(`process ${daemon.pid} runs a machine`);
    expect((await daemon.command("ps")).code).toBe(0);
    expect(readdirSync(path.dirname(daemon.socket))).toEqual(["socket"]);
  });

  test.each(["/proc/airlock-state", `${labFile}/state`])("%s", async (state) => {
    const result = await airlock(["run", labFile, "--state", state, "--json"]);
    expect(result.code).toBe(5);
    expect(result.json()).toMatchObject({ error: { code: "StateUnusable", message: expect.stringContaining("choose another with --state") as string } });
  });

  test("a full disk: nothing can be written to any file", async () => {
    await using directory = await scratch();
    const state = path.join(directory.path, "state");
    const command = `ulimit -f 0; exec "${process.execPath}" "${mainFile}" run "${labFile}" --state "${state}"`;
    const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => { stderr += text; });
    child.stdout.resume();
    const code = await new Promise((resolve) => { child.on("close", resolve); });
    expect(stderr).toMatch(/^airlock: cannot write the state directory .*: EFBIG.*free space there or choose another with --state\n$/);
    expect(code).toBe(5);
    expect(readdirSync(state, { recursive: true, encoding: "utf8" })).toEqual(expect.arrayContaining(["control", "dumps"]));
    expect(readdirSync(state, { recursive: true })).toHaveLength(2);
  });

  test("a path that is too long for a socket", async () => {
    await using directory = await scratch();
    const result = await airlock(["run", labFile, "--state", path.join(directory.path, "x".repeat(100))]);
    expect(result).toMatchObject({ code: 2 });
    expect(result.stderr).toContain("choose a shorter directory with --state");
  });

  test("a file where the socket should be is not removed", async () => {
    await using directory = await scratch();
    const first = await airlock(["run", "/nonexistent.yaml", "--state", directory.path]);
    expect(first.code).toBe(6);
    await using other = await Daemon.begin();
    await other.until((entry) => entry.msg === "ready");
    await other.stop();
    await writeFile(other.socket, "mine");
    const again = await airlock(["run", labFile, "--state", other.state]);
    expect(again).toMatchObject({ code: 5 });
    expect(readFileSync(other.socket, "utf8")).toBe("mine");
  });
});

describe("the end", () => {
  test("the socket is private, and a stale one is replaced after a crash", async () => {
    await using first = await Daemon.start();
    expect(statSync(first.socket).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(first.socket)).mode & 0o777).toBe(0o700);
    first.child.kill("SIGKILL");
    await first.ended;
    expect(existsSync(first.socket)).toBe(true);
    const second = airlock(["run", labFile, "--state", first.state]);
    let report = await airlock(["ps", "--json", "--state", first.state]);
    for (let tries = 0; report.code !== 0 && tries < 100; tries++) report = await airlock(["ps", "--json", "--state", first.state]);
    const { pid, drivers } = report.json() as MachineReport;
    expect(pid).not.toBe(first.pid);
    // No generation is ever used again, also after a crash.
    expect(BigInt(drivers[0]!.generation)).toBeGreaterThan(1n);
    process.kill(pid, "SIGTERM");
    expect((await second).code).toBe(0);
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s ends it in order and leaves nothing behind", async (signal) => {
    await using one = await Daemon.start();
    const children = one.children();
    const result = await one.stop(signal);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(one.log.map(({ msg }) => msg)).toContain(`stopping: ${signal}`);
    expect(existsSync(one.socket)).toBe(false);
    expect(readdirSync(one.temporary)).toEqual([]);
    expect([one.pid, ...children].filter(isAlive)).toEqual([]);
  });

  test("two signals at once end it too, and leave nothing behind", async () => {
    await using one = await Daemon.start();
    const children = one.children();
    one.child.kill("SIGTERM");
    one.child.kill("SIGTERM");
    const { code, stderr } = await one.ended;
    expect([0, 1]).toContain(code);
    expect(stderr).toBe("");
    expect(existsSync(one.socket)).toBe(false);
    expect(readdirSync(one.temporary)).toEqual([]);
    expect([one.pid, ...children].filter(isAlive)).toEqual([]);
  });

  test("a signal while it is being brought up", async () => {
    await using one = await Daemon.begin();
    while (!existsSync(one.socket)) await new Promise((resolve) => { setTimeout(resolve, 5); });
    const { code } = await one.stop();
    expect(code).toBe(0);
    expect(existsSync(one.socket)).toBe(false);
  });

  test("following its log ends with it", async () => {
    await using one = await Daemon.start();
    const follower = one.command("logs", "--follow", "--json");
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    await one.command("restart", "clock");
    await one.stop();
    const { code, stdout } = await follower;
    expect(code).toBe(0);
    expect(stdout).toContain('"text":"starting"');
  });
});

describe("exports", () => {
  test("an export of the machine file serves, survives a kill, and its socket is gone at the end", async () => {
    await using directory = await scratch();
    const file = path.join(directory.path, "lab.yaml");
    const text = readFileSync(labFile, "utf8").replaceAll("../../../drivers", path.join(path.dirname(labFile), "../../../drivers"));
    await writeFile(file, `${text}\nexports:\n  com: { type: unix, driver: console }\n`);
    await using one = await Daemon.start(file);
    const [exported] = ((await one.command("ps", "--json")).json() as MachineReport).exports;
    expect(exported).toMatchObject({ name: "com", type: "unix", driver: "console" });
    const socket = net.connect(exported!.address);
    let heard = "";
    socket.setEncoding("utf8").on("data", (data: string) => { heard += data; });
    const echo = async (line: string): Promise<void> => {
      socket.write(line);
      for (let tries = 0; !heard.includes(line) && tries < 400; tries++) await new Promise((resolve) => { setTimeout(resolve, 25); });
      expect(heard).toContain(line);
    };
    await echo("before\n");
    expect((await one.command("kill", "console")).code).toBe(0);
    await echo("after\n");
    socket.destroy();
    expect((await one.stop()).code).toBe(0);
    expect(existsSync(exported!.address)).toBe(false);
  });
});

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  test("a signal ends QEMU too", async () => {
    await using one = await Daemon.start(labQemuFile);
    const children = one.children();
    expect(children.length).toBeGreaterThan(0);
    expect((await one.command("kill", "clock", "--json")).json()).toMatchObject({ detected: true, status: { state: "running" } });
    expect((await one.stop()).code).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
    expect(readdirSync(one.temporary)).toEqual([]);
  });

  test("two signals at once end QEMU too", async () => {
    await using one = await Daemon.start(labQemuFile);
    const children = one.children();
    one.child.kill("SIGTERM");
    one.child.kill("SIGTERM");
    expect([0, 1]).toContain((await one.ended).code);
    expect(children.filter(isAlive)).toEqual([]);
    expect(readdirSync(one.temporary)).toEqual([]);
  });

  test.each([1, 2])("%i signals while QEMU is being started", async (signals) => {
    await using one = await Daemon.begin(labQemuFile);
    while (!existsSync(one.socket) || one.children().length === 0) await new Promise((resolve) => { setTimeout(resolve, 2); });
    for (let sent = 0; sent < signals; sent++) {
      one.child.kill("SIGTERM");
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    expect([0, 1]).toContain((await one.ended).code);
    expect(existsSync(one.socket)).toBe(false);
    expect(readdirSync(one.temporary)).toEqual([]);
  });

  test("lost hardware ends the machine in order, with its own exit code", async () => {
    await using one = await Daemon.start(labQemuFile);
    for (const child of one.children()) process.kill(child, "SIGKILL");
    const { code, stderr } = await one.ended;
    expect(code).toBe(4);
    expect(stderr).toMatch(/^airlock: the hardware of machine "lab-qemu" was lost: .*\n$/);
    expect(existsSync(one.socket)).toBe(false);
    expect(readdirSync(one.temporary)).toEqual([]);
  });

  test("a missing QEMU: one line, nothing left", async () => {
    await using directory = await scratch();
    const state = path.join(directory.path, "state");
    const result = await airlock(["run", labQemuFile, "--state", state], { env: { AIRLOCK_QEMU: "/nowhere/qemu" } });
    expect(result.code).toBe(4);
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
    expect(existsSync(path.join(state, "control", "socket"))).toBe(false);
  });
});
