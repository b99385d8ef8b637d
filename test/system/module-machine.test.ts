/** A driver in C in a whole machine over threads: used, restarted in order, crashed with its client unaware, its crash dump in terms of C. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { SerialPort } from "../../runtime/classes/serial/port.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import { World } from "../../runtime/cli/world.ts";
import { applicableFaults } from "../../runtime/cli/soak/applicable.ts";
import { findFaults } from "../../runtime/faults/find-faults.ts";
import { listDumps, readDump } from "../../runtime/trace/dump-files.ts";
import { compilerAvailable } from "../fixtures/kernel-available.ts";
import { writeModulePackage } from "../fixtures/module-package.ts";
import { builtProbe } from "../fixtures/module-probe.ts";

const patienceMs = 20_000;
const machineText = `machine: module
platform: { type: sim }
devices:
  com1: { compatible: [uart-16550], ports: { regs: { base: 0x3f8, size: 8 } }, irqs: { line: 4 } }
drivers:
  console: { package: probe, device: com1, grants: [regs, line], options: { checking: true }, spares: 1 }
`;

let directory: string;
let file: string;
/** An open port: what is written are the probe's commands, what it says comes back. */
class Console implements AsyncDisposable {
  readonly up: BroughtUp;
  readonly said: string[] = [];
  readonly #port: SerialPort;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;

  private constructor(up: BroughtUp) {
    this.up = up;
    this.#port = up.machine.client("console") as SerialPort;
    this.#writer = this.#port.writable.getWriter();
    this.#reading = this.#read();
  }

  static async open(): Promise<Console> {
    const up = await bringUp({ file, state: path.join(directory, "state") });
    await vi.waitUntil(() => up.machine.settled, { timeout: patienceMs, interval: 5 });
    return new Console(up);
  }

  get supervisor() {
    return this.up.machine.driver("console").supervisor;
  }

  async tell(command: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(command));
  }

  /** An answer, whoever gives it. */
  async echo(text: string): Promise<void> {
    await this.tell(`echo ${text}`);
    await vi.waitUntil(() => this.said.includes(text), { timeout: patienceMs, interval: 2 });
  }

  async generation(number: bigint): Promise<void> {
    await vi.waitUntil(() => this.supervisor.status.state === "running" && this.supervisor.status.generation === number, { timeout: patienceMs, interval: 2 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port.close();
    await this.#reading;
    await this.up.close();
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#port.readable) this.said.push(new TextDecoder().decode(chunk));
  }
}

describe.skipIf(!(await compilerAvailable()))("a driver in C", () => {
  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), "airlock-module-"));
    file = path.join(directory, "machine.yaml");
    writeModulePackage(path.join(directory, "probe"), await builtProbe(), { options: { checking: { type: "boolean", default: false } } });
    writeFileSync(file, machineText);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test("it is used, lets go in order and comes back, crashes and comes back, with one client all the time", async () => {
    await using open = await Console.open();
    await open.echo("first");
    open.supervisor.restart();
    await open.generation(2n);
    await open.echo("second");
    expect(open.up.machine.logs.lines("console").map(({ text }) => text)).toContain("bye");
    expect(open.supervisor.status).toMatchObject({ failures: {}, skippedSteps: {} });
    await open.tell("fault 1");
    await open.generation(3n);
    await open.echo("third");
    expect(open.supervisor.status).toMatchObject({ failures: { exception: 1 }, restarts: 1 });
  });

  test("a crash dump and the failure's message have function, file and line in C", async () => {
    await using open = await Console.open();
    await open.tell("throw kaput");
    await open.generation(2n);
    const { failure } = open.supervisor.status.lastFailure!;
    expect(failure.message).toBe("Bug: kaput; in explode, explode.c:7");
    expect(failure.stack!.split("\n").map((line) => line.replace(/:\d+:\d+\)$/, ")"))).toEqual([
      "at explode (explode.c)", "at command (probe.c)", "at airlock_turn (probe.c)",
    ]);
    await open.up.dumps.settled();
    const [dump] = await listDumps(open.up.state.dumps);
    expect((await readDump(dump!.path)).failure.stack).toContain("at explode (explode.c:7:");
  });

  test("in a deterministic world every fault in C is found, and each run is the same", async () => {
    const trial = async (): Promise<{ hash: string; found: readonly string[] }> => {
      const world = await World.open({ file, seed: 1, restart: () => ({ policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" }) });
      await world.run(100_000);
      const driver = world.machine.driver("console");
      const found: string[] = [];
      const faults = applicableFaults((await findFaults()).values(), driver).filter(({ tiers, where }) => tiers?.includes("wasm") === true && where === "operation");
      for (const fault of faults) {
        world.machine.inject("console", fault);
        await world.until(driver.shadow.probe());
        await world.run(1_000_000);
        found.push(`${fault.name}: ${driver.supervisor.status.lastFailure?.failure.kind}`);
      }
      const hash = world.traceHash();
      await world.close();
      return { hash, found };
    };
    const first = await trial();
    expect(first.found).toEqual([
      "bug: exception", "double-free: exception", "exhaust-memory: memory", "loop: turn-limit", "null-call: exception", "null-read: exception", "null-write: exception",
      "overflow-stack: stack", "wild-write: exception",
    ]);
    expect(await trial()).toEqual(first);
  });
});
