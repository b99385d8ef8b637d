/** The lab machine over threads with a hostile console driver, beside an honest clock driver that must not notice. */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { vi } from "vitest";
import type { FaultPoint } from "../../runtime/api/bridge.ts";
import type { Failure, FailureKind } from "../../runtime/api/failure.ts";
import type { FaultTools } from "../../runtime/api/guest.ts";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import type { LogLine } from "../../runtime/cli/log-book.ts";
import type { TierName } from "../../runtime/sandbox/sandbox.ts";
import { listDumps, readDump } from "../../runtime/trace/dump-files.ts";
import type { CrashDump } from "../../runtime/trace/dump.ts";

const file = path.join(import.meta.dirname, "../../runtime/machine/examples/lab.yaml");
/** A machine under attack on two busy cores; nothing here waits this long when it works. */
const patienceMs = 20_000;

export class HostileLab implements AsyncDisposable {
  readonly #directory: string;
  readonly #up: BroughtUp;
  readonly #clock: RtcClient;
  readonly #quietGeneration: bigint;
  readonly lines: LogLine[] = [];

  private constructor(directory: string, up: BroughtUp) {
    this.#directory = directory;
    this.#up = up;
    this.#clock = up.machine.client("clock") as RtcClient;
    this.#quietGeneration = up.machine.driver("clock").supervisor.status.generation;
    up.machine.logs.follow((line) => this.lines.push(line));
  }

  static async open(sandbox: TierName): Promise<HostileLab> {
    const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-hostile-"));
    const restart = () => ({ policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" }) as const;
    const up = await bringUp({ file, state: directory, sandbox, restart });
    const settled = (): boolean => up.machine.settled;
    await vi.waitUntil(settled, { timeout: patienceMs, interval: 5 });
    return new HostileLab(directory, up);
  }

  /** Runs code inside the console's sandbox, with the raw bridge; what it closes over does not cross. */
  run(code: (tools: FaultTools) => unknown, where: FaultPoint = "now"): void {
    this.#up.machine.driver("console").supervisor.inject(where, String(code));
  }

  get failures(): Readonly<Partial<Record<FailureKind, number>>> {
    return this.#up.machine.driver("console").supervisor.status.failures;
  }

  /** Runs the code and waits until it has been found out and the driver is back. */
  async failure(code: (tools: FaultTools) => unknown): Promise<Failure> {
    const { supervisor } = this.#up.machine.driver("console");
    const before = supervisor.status.lastFailure;
    this.run(code);
    await vi.waitUntil(() => supervisor.status.lastFailure !== before, { timeout: patienceMs, interval: 2 });
    const { failure } = supervisor.status.lastFailure!;
    await this.settled();
    return failure;
  }

  /** What the code logged as an array of its lines, once it logged "end". */
  async said(code: (tools: FaultTools) => unknown): Promise<string[]> {
    const from = this.lines.length;
    this.run(code);
    const mine = (): string[] => this.lines.slice(from).filter(({ source, driver }) => source === "driver" && driver === "console").map(({ text }) => text);
    await vi.waitUntil(() => mine().includes("end"), { timeout: patienceMs, interval: 2 });
    return mine().filter((text) => text !== "end");
  }

  /** Everything is in service; the honest driver has noticed nothing and serves its client. */
  async settled(): Promise<void> {
    await vi.waitUntil(() => this.#up.machine.settled, { timeout: patienceMs, interval: 5 });
    const { generation, failures } = this.#up.machine.driver("clock").supervisor.status;
    if (generation !== this.#quietGeneration) throw new Error(`the honest driver was restarted: ${JSON.stringify(failures)}`);
    await this.#clock.readTime();
  }

  /** The crash dumps written so far. */
  async dumps(): Promise<CrashDump[]> {
    await vi.waitUntil(async () => (await listDumps(this.#up.state.dumps)).length > 0, { timeout: patienceMs, interval: 20 });
    await this.#up.dumps.settled();
    return Promise.all((await listDumps(this.#up.state.dumps)).map(({ path: dump }) => readDump(dump)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#up.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
