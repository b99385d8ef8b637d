/** Restarts on whole machines: generations, dependents, holds, backoff, clients in the middle of it, and hardware that goes away. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { type Clock, realClock } from "../../runtime/api/clock.ts";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import { type BringUpOptions, type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import type { QemuPlatform } from "../../runtime/platform/qemu/qemu-platform.ts";
import type { DriverSupervisor } from "../../runtime/supervisor/driver-supervisor.ts";
import type { DriverStatus } from "../../runtime/supervisor/driver-status.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { copyFixture, nothingLeft, resources, until } from "./failing-machine.ts";

/** Two clocks; the second driver depends on the first. */
const text = `machine: pair
platform: { type: sim }
devices:
  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }
  rtc2: { compatible: [mc146818], ports: { cmos: { base: 0x72, size: 2 } }, irqs: { tick: 9 } }
drivers:
  first: { package: failing-clock, device: rtc, grants: [cmos, tick], options: { times: 0 } }
  second: { package: failing-clock, device: rtc2, grants: [cmos, tick], options: { times: 0 }, dependsOn: [first] }
`;

const unlimited = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" } as const;

/** A directory with that machine; every machine brought up in it is closed at the end, and nothing may be left of any. */
class Place implements AsyncDisposable {
  readonly directory = mkdtempSync(path.join(tmpdir(), "airlock-restarts-"));
  readonly #before = resources();
  readonly #ups: BroughtUp[] = [];

  constructor() {
    copyFixture(path.join(this.directory, "failing-clock"), "throws-in-operation");
    writeFileSync(path.join(this.directory, "machine.yaml"), text);
  }

  async up(options: Partial<BringUpOptions> = {}): Promise<BroughtUp> {
    const up = await bringUp({ file: path.join(this.directory, "machine.yaml"), state: path.join(this.directory, "state"), restart: () => unlimited, ...options });
    this.#ups.push(up);
    await until(() => [...up.machine.drivers.values()].every(({ supervisor }) => supervisor.status.state === "running"), () => "all drivers running");
    return up;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const up of this.#ups) await up.close();
    rmSync(this.directory, { recursive: true, force: true });
    await nothingLeft(this.#before);
  }
}

function supervisorOf(up: BroughtUp, driver: string): DriverSupervisor {
  return up.machine.driver(driver).supervisor;
}

async function killed(supervisor: DriverSupervisor): Promise<void> {
  await until(() => supervisor.status.state === "running", () => `${supervisor.name} running`);
  const { generation } = supervisor.status;
  expect(supervisor.kill()).toBe(true);
  await until(() => supervisor.status.state === "running" && supervisor.status.generation > generation, () => `${supervisor.name} back`);
}

describe("generations", () => {
  test("are never used again: not after a restart, not by a later run, not by a run beside one that never ended", async () => {
    await using place = new Place();
    const one = await place.up();
    for (let kills = 0; kills < 3; kills++) await killed(supervisorOf(one, "first"));
    expect(supervisorOf(one, "first").status.generation).toBe(4n);
    const grants = one.machine.io.ledger.entries("first").filter(({ action, capability }) => action === "grant" && capability === "cmos").map(({ generation }) => generation);
    expect(grants).toEqual([1n, 2n, 3n, 4n]);
    // As after a crash of the whole process: the state directory was never told how far it came.
    const beside = await place.up();
    expect(supervisorOf(beside, "first").status.generation).toBeGreaterThan(1_000_000n);
    const last = supervisorOf(beside, "first").status.generation;
    await beside.close();
    const later = await place.up();
    expect(supervisorOf(later, "first").status.generation).toBe(last + 1n);
  });
});

describe("a driver that depends on another", () => {
  test("is restarted after it, when that is back in service", async () => {
    await using place = new Place();
    const up = await place.up();
    const seen: string[] = [];
    const stop = up.machine.supervisor.onChange(({ driver, state, generation }: DriverStatus) => {
      const { status } = supervisorOf(up, "first");
      if (driver === "second") seen.push(`${state} ${generation}, first ${status.state} ${status.generation}`);
    });
    await killed(supervisorOf(up, "first"));
    await until(() => supervisorOf(up, "second").status.state === "running" && supervisorOf(up, "second").status.generation === 2n, () => "second back");
    stop();
    expect(seen.filter((change) => change.startsWith("starting 2"))).toEqual(["starting 2, first running 2"]);
    expect(seen.some((change) => change.startsWith("waiting 1"))).toBe(true);
    expect(supervisorOf(up, "second").status).toMatchObject({ failures: {}, restarts: 0 });
  });

  test("is not restarted when it fails itself and the other is well", async () => {
    await using place = new Place();
    const up = await place.up();
    await killed(supervisorOf(up, "second"));
    expect(supervisorOf(up, "first").status.generation).toBe(1n);
    expect(supervisorOf(up, "second").status.generation).toBe(2n);
  });

  test("is held with it, its clients are told, and comes back with it", async () => {
    await using place = new Place();
    const up = await place.up();
    const client = up.machine.client("second") as RtcClient;
    await supervisorOf(up, "first").hold("the test holds it");
    await until(() => supervisorOf(up, "second").status.state !== "running" && supervisorOf(up, "second").status.state !== "tearing-down", () => "second away");
    expect(supervisorOf(up, "second").status).toMatchObject({ blockedBy: "first" });
    await expect(client.readTime()).rejects.toMatchObject({ code: "DriverUnavailable" });
    expect(() => supervisorOf(up, "first").restart()).toThrow(expect.objectContaining({ code: "DriverUnavailable" }));
    expect(supervisorOf(up, "first").release()).toBe(true);
    await until(() => supervisorOf(up, "second").status.state === "running", () => "second back");
    expect(await client.readTime()).toBeInstanceOf(Date);
  });
});

describe("backoff", () => {
  test("grows with each failure up to its limit, and decays with time in service", async () => {
    await using place = new Place();
    let skippedMicros = 0;
    const clock: Clock = { nowMicros: () => realClock.nowMicros() + skippedMicros, setTimer: (delayMicros, callback) => realClock.setTimer(delayMicros, callback) };
    const backoff = { initialMs: 20, factor: 2, maxMs: 80, decayMs: 60_000 };
    const up = await place.up({ clock, restart: () => ({ ...unlimited, backoff }) });
    const supervisor = supervisorOf(up, "first");
    const waits: number[] = [];
    supervisor.onChange(({ state, nextRestartAtMicros, lastFailure }) => {
      if (state === "tearing-down" && nextRestartAtMicros !== undefined) waits.push(Math.round((nextRestartAtMicros - lastFailure!.atMicros) / 1000));
    });
    const kill = async (): Promise<number> => {
      waits.length = 0;
      await killed(supervisor);
      return waits[0]!;
    };
    const grown: number[] = [];
    for (let kills = 0; kills < 5; kills++) grown.push(await kill());
    expect(grown).toEqual([0, 20, 40, 80, 80]);
    skippedMicros += 2 * backoff.decayMs * 1000;
    expect(await kill()).toBe(20);
    skippedMicros += 10 * backoff.decayMs * 1000;
    expect(await kill()).toBe(0);
  });
});

describe("clients in the middle of restarts", () => {
  test("each call settles exactly once, and none fails", async () => {
    await using place = new Place();
    const up = await place.up();
    const client = up.machine.client("first") as RtcClient;
    const settled = new Map<number, number>();
    const failed: unknown[] = [];
    let calls = 0;
    const ask = (): void => {
      const mine = calls++;
      const call: Promise<unknown> = mine % 3 === 0 ? client.setUpdateEvents(mine % 2 === 0) : mine % 3 === 1 ? client.setTime(new Date(Date.UTC(2030, 1, 1))) : client.readTime();
      const settle = (): void => void settled.set(mine, (settled.get(mine) ?? 0) + 1);
      call.then(settle, (error: unknown) => { failed.push(error); settle(); });
    };
    for (let kills = 0; kills < 6; kills++) {
      for (let count = 0; count < 12; count++) ask();
      const back = killed(supervisorOf(up, "first"));
      for (let count = 0; count < 12; count++) ask();
      await back;
    }
    await until(() => settled.size === calls, () => `${calls} calls settled, ${settled.size} are`);
    expect(failed).toEqual([]);
    expect([...settled.values()].every((count) => count === 1)).toBe(true);
  });

  test("what is pending when the machine closes is settled, too", async () => {
    await using place = new Place();
    const up = await place.up();
    const client = up.machine.client("first") as RtcClient;
    supervisorOf(up, "first").kill();
    const pending = [client.setPeriodic(2), client.setUpdateEvents(true)].map((call) => call.then(() => "answered", (error: { code: string }) => error.code));
    await up.close();
    for (const outcome of await Promise.all(pending)) expect(["answered", "Closed", "DriverUnavailable"]).toContain(outcome);
  });
});

describe.skipIf(!(await qemuAvailable()))("hardware that goes away", () => {
  test("holds every driver, tells their clients, and the machine closes without a trace", async () => {
    const before = resources();
    const state = mkdtempSync(path.join(tmpdir(), "airlock-lost-"));
    const up = await bringUp({ file: path.join(import.meta.dirname, "../../runtime/machine/examples/lab-qemu.yaml"), state, restart: () => unlimited });
    const all = [...up.machine.drivers.values()].map(({ supervisor }) => supervisor);
    await until(() => all.every(({ status }) => status.state === "running"), () => "all drivers running");
    const client = up.machine.client("clock") as RtcClient;
    expect(await client.readTime()).toBeInstanceOf(Date);
    const pid = (up.machine.platform as unknown as QemuPlatform).pid!;
    process.kill(pid, "SIGKILL");
    await until(() => all.every(({ status }) => status.state === "held"), () => `all drivers held: ${all.map(({ status }) => status.state).join()}`);
    for (const { status } of all) expect(status.reason).toMatch(/^hardware lost: /);
    expect(up.machine.lost).toBeDefined();
    await expect(client.setUpdateEvents(true)).rejects.toMatchObject({ code: "DriverUnavailable" });
    await up.close();
    expect(() => process.kill(pid, 0)).toThrow(expect.objectContaining({ code: "ESRCH" }));
    rmSync(state, { recursive: true, force: true });
    await nothingLeft(before);
  });

  test("a machine that is closed leaves no QEMU behind", async () => {
    const state = mkdtempSync(path.join(tmpdir(), "airlock-orphan-"));
    const up = await bringUp({ file: path.join(import.meta.dirname, "../../runtime/machine/examples/lab-qemu.yaml"), state });
    const pid = (up.machine.platform as unknown as QemuPlatform).pid!;
    process.kill(pid, 0);
    // A terminal's Ctrl-C goes to the group of the program in its foreground; QEMU has to outlast the exports.
    expect(processGroup(pid)).toBe(pid);
    await up.close();
    expect(() => process.kill(pid, 0)).toThrow(expect.objectContaining({ code: "ESRCH" }));
    rmSync(state, { recursive: true, force: true });
  });
});

/** Field 5 of proc_pid_stat(5), counted from behind the name, which may hold anything. */
function processGroup(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[2]);
}
