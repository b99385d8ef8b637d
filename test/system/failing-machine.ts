/** A machine on simulated hardware whose one driver fails in a chosen way, in a directory of its own, and what it must leave behind. */
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import type { LedgerEntry } from "../../runtime/io-manager/ledger.ts";
import type { TierName } from "../../runtime/sandbox/sandbox.ts";
import type { DriverStatus } from "../../runtime/supervisor/driver-status.ts";
import { readDump, listDumps } from "../../runtime/trace/dump-files.ts";
import type { CrashDump } from "../../runtime/trace/dump.ts";

const fixture = path.join(import.meta.dirname, "../fixtures/drivers/failing-clock");

/** Generous: a machine of two cores runs other things too. */
const waitMs = 30_000;
const pollMs = 5;

/** Restarts the machine file allows; the failure after them holds the driver. */
export const intensity = 2;

export interface FailingOptions {
  /** Name of the file of test/fixtures/drivers/failing-clock, without `.ts`. */
  readonly failure: string;
  readonly tier: TierName;
  /** Generations that fail; those after them work. */
  readonly times: number;
  /** The `limits` of the driver in the machine file, as YAML flow: "turn: 10s, hang: 20s". */
  readonly limits?: string;
}

/** How many generations fail when all of them shall. */
export const forever = 255;

export class FailingMachine implements AsyncDisposable {
  readonly up: BroughtUp;
  readonly client: RtcClient;
  readonly #directory: string;
  #closed: Promise<void> | undefined;

  private constructor(up: BroughtUp, directory: string) {
    this.up = up;
    this.#directory = directory;
    this.client = up.machine.client("clock") as RtcClient;
  }

  static async bringUp({ failure, tier, times, limits = "" }: FailingOptions): Promise<FailingMachine> {
    const directory = mkdtempSync(path.join(tmpdir(), "airlock-failing-"));
    const file = path.join(directory, "machine.yaml");
    copyFixture(path.join(directory, "failing-clock"), failure);
    writeFileSync(file, machineText(tier, times, limits));
    try {
      return new FailingMachine(await bringUp({ file, state: path.join(directory, "state") }), directory);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get status(): DriverStatus {
    return this.up.machine.driver("clock").supervisor.status;
  }

  /** Failures so far, of all kinds. */
  get failures(): number {
    return Object.values(this.status.failures).reduce((sum, count) => sum + count, 0);
  }

  get ledger(): readonly LedgerEntry[] {
    return this.up.machine.io.ledger.entries("clock");
  }

  /** Waits until the driver is back in service after that many failures. */
  async recovered(failures: number): Promise<void> {
    await until(() => this.failures >= failures && this.status.state === "running", () => this.#situation(`recovered from ${failures} failures`));
  }

  async held(): Promise<void> {
    await until(() => this.status.state === "held" && this.status.hosts.started === this.status.hosts.ended + this.status.hosts.overdue, () => this.#situation("held"));
  }

  async running(): Promise<void> {
    await until(() => this.status.state === "running", () => this.#situation("running"));
  }

  /** Ends the machine and returns the crash dumps it left, oldest first. */
  async close(): Promise<CrashDump[]> {
    await this.#close();
    return Promise.all((await listDumps(this.up.state.dumps)).map(({ path: file }) => readDump(file)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #close(): Promise<void> {
    return (this.#closed ??= this.up.close());
  }

  #situation(wanted: string): string {
    const { state, generation, failures, reason, lastFailure } = this.status;
    return `${wanted}: it is ${state} in generation ${generation}, failures ${JSON.stringify(failures)}, ${reason ?? ""} ${lastFailure?.failure.message ?? ""}`;
  }
}

/** Polls a condition; fails with what was waited for. */
export async function until(condition: () => boolean, what: () => string): Promise<void> {
  for (let spentMs = 0; !condition(); spentMs += pollMs) {
    if (spentMs > waitMs) throw new Error(`waited ${waitMs} ms for: ${what()}`);
    await sleep(pollMs);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

/** Copies the fixture package with that failure as its entry file. */
export function copyFixture(target: string, failure: string): void {
  cpSync(fixture, target, { recursive: true });
  const manifest = JSON.parse(readFileSync(path.join(fixture, "driver.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(path.join(target, "driver.json"), JSON.stringify({ ...manifest, main: `${failure}.ts` }, null, 2));
}

/** The line of a fixture's file that fails, counted from 1: the first that has this text. */
export function lineOf(failure: string, text: string): number {
  const at = readFileSync(path.join(fixture, `${failure}.ts`), "utf8").split("\n").findIndex((line) => line.includes(text));
  if (at < 0) throw new Error(`${failure}.ts has no line with ${text}`);
  return at + 1;
}

/** Every fixture of the package: the files that define a driver. */
export function fixtureNames(): string[] {
  return readdirSync(fixture).filter((name) => name.endsWith(".ts") && readFileSync(path.join(fixture, name), "utf8").includes("defineDriver(")).map((name) => name.slice(0, -3));
}

/** Threads and event-loop resources of this process; what a machine adds must be gone after its close. */
export function resources(): { readonly threads: number; readonly ports: number } {
  const active = process.getActiveResourcesInfo().filter((name) => name === "MessagePort" || name === "Worker");
  return { threads: readdirSync("/proc/self/task").length, ports: active.length };
}

/** Waits until no more is left than there was. */
export async function nothingLeft(before: ReturnType<typeof resources>): Promise<void> {
  await until(() => {
    const now = resources();
    return now.threads <= before.threads && now.ports <= before.ports;
  }, () => `nothing left over: before ${JSON.stringify(before)}, now ${JSON.stringify(resources())}`);
}

function machineText(tier: TierName, times: number, limits: string): string {
  return `machine: failing
platform: { type: sim, epoch: "2026-11-20T12:00:00Z" }
devices:
  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }
drivers:
  clock:
    package: failing-clock
    device: rtc
    sandbox: ${tier}
    grants: [cmos, tick]
    options: { times: ${times} }
    restart: { policy: permanent, intensity: ${intensity}, period: 60s, backoff: { initial: 1ms, max: 1ms } }
    limits: { ${limits} }
`;
}
