/** A machine with one echoing serial port behind one export, brought up over threads and made to fail. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { vi } from "vitest";
import { realClock } from "../../runtime/api/clock.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import { type RunningExports, startExports } from "../../runtime/cli/exports-runner.ts";
import type { FaultDefinition } from "../../runtime/faults/fault.ts";
import { type TerminalClient, receiveMs } from "./client.ts";

export const driver = "console";

const drivers = path.join(import.meta.dirname, "../../drivers");

/** What the log says when bytes may be missing, at the moment they may be: a restart is told at once. */
const toldOfLoss = /the driver was restarted|bytes from the device were lost|were with a driver that died/;

/** After a told loss the rest of a line is awaited until nothing came for this long, then the line is sent again. */
const quietMs = 150;
const pollMs = 5;

/** The machine file. */
export function labFile(platform: "sim" | "qemu", exportType: "pty" | "unix"): string {
  return `machine: client-lab
platform: { type: ${platform}${platform === "qemu" ? ", machine: q35" : ""} }
devices:
  com1:
    compatible: [uart-16550, 16550a]
    ports: { regs: { base: 0x3f8, size: 8 } }
    irqs: { line: 4 }
    options: { peer: echo${platform === "sim" ? ", flow: rts" : ""} }
drivers:
  ${driver}:
    package: ${path.join(drivers, "uart-16550")}
    device: com1
    sandbox: quickjs
    grants: [regs, line]
    restart: { policy: permanent, intensity: 5, period: 10s }
    limits: { irqPerSecond: 4000 }
exports:
  tty: { type: ${exportType}, driver: ${driver} }
`;
}

export class Lab implements AsyncDisposable {
  readonly directory: string;
  readonly #up: BroughtUp;
  readonly #exports: RunningExports;
  #told = 0;

  private constructor(directory: string, up: BroughtUp, exports: RunningExports) {
    this.directory = directory;
    this.#up = up;
    this.#exports = exports;
    up.machine.logs.follow((line) => {
      if (line.source === "runtime" && toldOfLoss.test(line.text)) this.#told++;
    });
  }

  static async open(platform: "sim" | "qemu", exportType: "pty" | "unix"): Promise<Lab> {
    const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-clients-"));
    const file = path.join(directory, "lab.yaml");
    await writeFile(file, labFile(platform, exportType));
    // A driver that is made to fail all the time is not held for it, and comes back at once.
    const restart = () => ({ policy: "permanent", intensity: Infinity, periodMs: 10_000, escalation: "hold" }) as const;
    const up = await bringUp({ file, state: path.join(directory, "state"), restart });
    try {
      const lab = new Lab(directory, up, await startExports(up.machine, up.state.path, realClock));
      await lab.settled();
      return lab;
    } catch (error) {
      await up.close();
      throw error;
    }
  }

  get machine(): BroughtUp["machine"] {
    return this.#up.machine;
  }

  /** Where the export is. */
  get address(): string {
    return this.#exports.list[0]!.address;
  }

  /** Failures so far, of any kind. */
  get failures(): number {
    return Object.values(this.machine.driver(driver).supervisor.status.failures).reduce((sum, count) => sum + count, 0);
  }

  /** The driver is in service and its spare is loaded. */
  async settled(): Promise<void> {
    await vi.waitUntil(() => this.machine.settled, { timeout: receiveMs, interval: pollMs });
  }

  inject(fault: FaultDefinition): void {
    this.machine.inject(driver, fault);
  }

  /**
   * Sends a line and waits for its echo; after a told loss it is sent again. Gives all that was sent.
   * @throws Error when the client left, and when the line neither came back nor was told to be lost
   */
  async exchange(client: TerminalClient, text: string, during: () => void = () => undefined): Promise<string> {
    let sent = "";
    for (let attempt = 0; ; attempt++) {
      const line = `<${text}.${attempt}>\n`;
      const told = this.#told;
      sent += line;
      const half = Math.floor(line.length / 2);
      await client.send(Buffer.from(line.slice(0, half)));
      if (attempt === 0) during();
      await client.send(Buffer.from(line.slice(half)));
      if (await this.#echoed(client, line, () => this.#told !== told)) return sent;
    }
  }

  async #echoed(client: TerminalClient, line: string, told: () => boolean): Promise<boolean> {
    const begin = performance.now();
    let seen = -1;
    let changed = begin;
    for (;;) {
      const left = client.left();
      if (left !== undefined) throw new Error(`the client left while ${JSON.stringify(line)} was under way: ${left}`);
      const came = client.peek();
      if (came.includes(line)) return true;
      const now = performance.now();
      if (came.length !== seen) changed = now;
      seen = came.length;
      if (told() && now - changed > quietMs) return false;
      if (now - begin > receiveMs) throw new Error(`${JSON.stringify(line)} was lost without a word; there is ${JSON.stringify(came.toString("latin1").slice(-200))}`);
      await new Promise((resolve) => { setTimeout(resolve, pollMs); });
    }
  }

  /** Closes export and machine, in the daemon's order. */
  async close(): Promise<void> {
    await this.#exports.close();
    await this.#up.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Whether `part` came from `whole` by leaving bytes out: nothing doubled, changed or out of its order. */
export function isThinned(part: string, whole: string): boolean {
  let at = 0;
  for (const char of part) {
    at = whole.indexOf(char, at) + 1;
    if (at === 0) return false;
  }
  return true;
}
