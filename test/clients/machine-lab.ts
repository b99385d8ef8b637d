/** A machine brought up from an example's file, some of it changed, with its exports; restart limits are lifted, as a soak does. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { vi } from "vitest";
import { parse, stringify } from "yaml";
import { realClock } from "../../runtime/api/clock.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import { type RunningExports, startExports } from "../../runtime/cli/exports-runner.ts";
import type { MachineDriver } from "../../runtime/cli/machine.ts";
import type { TierName } from "../../runtime/sandbox/sandbox.ts";

const examples = path.join(import.meta.dirname, "../../runtime/machine/examples");

/** Longest a machine may take to be in service; a busy test machine is slow. */
const settleMs = 60_000;
const pollMs = 5;

/** A machine file as it is written. */
export interface MachineText {
  readonly devices: Record<string, { options: Record<string, unknown> }>;
  readonly drivers: Record<string, Record<string, unknown>>;
  readonly exports: Record<string, Record<string, unknown>>;
}

export interface MachineLabOptions {
  /** Name of a file of runtime/machine/examples, as in "disk.yaml", or its path from there. */
  readonly example: string;
  readonly sandbox?: TierName;
  /** Changes the machine file before it is brought up. */
  change?(text: MachineText): void;
}

/** A driver that is made to fail all the time is not held for it, and comes back at once. */
const unlimited = { policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" } as const;

export class MachineLab implements AsyncDisposable {
  readonly machine: BroughtUp["machine"];
  /** The machine's only driver. */
  readonly driver: MachineDriver;
  /** Of the machine's only export. */
  readonly address: string;
  /** For files of the clients. */
  readonly scratch: string;
  /** What the runtime said that the driver's owner should look at. */
  readonly warnings: string[] = [];
  readonly #directory: string;
  readonly #up: BroughtUp;
  readonly #exports: RunningExports;

  private constructor(directory: string, scratch: string, up: BroughtUp, exports: RunningExports) {
    this.#directory = directory;
    this.scratch = scratch;
    this.#up = up;
    this.#exports = exports;
    this.machine = up.machine;
    this.driver = [...up.machine.drivers.values()][0]!;
    this.address = exports.list[0]!.address;
  }

  static async open({ example, sandbox, change }: MachineLabOptions): Promise<MachineLab> {
    const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-machines-"));
    try {
      const scratch = path.join(directory, "scratch");
      await mkdir(scratch);
      const up = await bringUp({ file: await fileOf(example, directory, change), state: path.join(directory, "state"), sandbox, restart: () => unlimited });
      try {
        const lab = new MachineLab(directory, scratch, up, await startExports(up.machine, up.state.path, realClock));
        await lab.settled();
        return lab;
      } catch (error) {
        await up.close();
        throw error;
      }
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** The driver is in service and its spare is loaded. */
  async settled(): Promise<void> {
    await vi.waitUntil(() => this.machine.settled, { timeout: settleMs, interval: pollMs });
  }

  /** Closes exports and machine, in the daemon's order; gives what they left in the state directory beside crash dumps and numbers. */
  async close(): Promise<string[]> {
    await this.#exports.close();
    await this.#up.close();
    const left = await readdir(this.#up.state.path);
    return left.filter((name) => name.endsWith(".sock"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** The example's file with the change, and with paths that are right where it lies. */
async function fileOf(example: string, directory: string, change: MachineLabOptions["change"]): Promise<string> {
  const text = parse(await readFile(path.join(examples, example), "utf8")) as MachineText;
  for (const driver of Object.values(text.drivers)) driver["package"] = path.resolve(examples, String(driver["package"]));
  change?.(text);
  const file = path.join(directory, path.basename(example));
  await writeFile(file, stringify(text));
  return file;
}
