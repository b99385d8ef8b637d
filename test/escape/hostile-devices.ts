/** A machine over threads in which every attack has a driver and a device of its own, beside an honest disk, card and clock that are at work all the time. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { vi } from "vitest";
import { type AirlockError, isAirlockError } from "../../runtime/api/errors.ts";
import type { Failure, FailureKind } from "../../runtime/api/failure.ts";
import type { FaultTools } from "../../runtime/api/guest.ts";
import type { RamAccess } from "../../runtime/bus/ram.ts";
import { createWorkload as createBlockWorkload } from "../../runtime/classes/block/workload.ts";
import type { Volume } from "../../runtime/classes/block/volume.ts";
import type { OpenInterface } from "../../runtime/classes/net/interface.ts";
import { createWorkload as createNetWorkload } from "../../runtime/classes/net/workload.ts";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import type { Workload } from "../../runtime/classes/workload.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import type { TierName } from "../../runtime/sandbox/sandbox.ts";
import type { DriverStatus } from "../../runtime/supervisor/driver-status.ts";
import { openRam } from "../../runtime/native/ram.ts";

const root = path.join(import.meta.dirname, "../..");
const fixtures = path.join(root, "test/fixtures/drivers");

/** A machine full of attackers on two busy cores; nothing here waits this long when it works. */
const patienceMs = 20_000;

/** Between two steps of the neighbours, so that they do not keep the attackers from running. */
const neighbourPauseMs = 2;

/** A driver that attacks. */
export interface Attacker {
  /** Name of a file of the fixture package, without `.ts`. */
  readonly attack: string;
  /** The option "address". */
  readonly address?: number;
  /** Restarts it is allowed; then its device gets an honest driver, or it is held. 1 when left out. */
  readonly restarts?: number;
  readonly after?: "honest" | "hold";
  /** Further options of its device, as YAML flow. */
  readonly device?: string;
  readonly limits?: string;
}

export interface HostileOptions {
  readonly tier: TierName;
  /** The fixture package, and what drives its devices honestly. */
  readonly fixture: "hostile-disk" | "hostile-nic";
  readonly attackers: Readonly<Record<string, Attacker>>;
  /** The `shadow` section of all attackers, as YAML flow. */
  readonly shadow?: string;
}

const kinds = {
  "hostile-disk": { compatible: "nvme", honest: "drivers/nvme", device: "sizeBytes: 1048576", grants: "bar0, config, msix0, queues, buffers" },
  "hostile-nic": { compatible: "e1000", honest: "drivers/e1000", device: "peer: host, address: 10.77.1.2", grants: "bar0, config, intx, queues, buffers" },
} as const;

export class HostileDevices implements AsyncDisposable {
  readonly up: BroughtUp;
  readonly ram: RamAccess;
  readonly #directory: string;
  readonly #disk: Workload;
  readonly #nic: Workload;
  #working = true;
  readonly #work: Promise<void>;
  readonly #quiet: ReadonlyMap<string, bigint>;

  private constructor(directory: string, up: BroughtUp, disk: Workload, nic: Workload) {
    this.#directory = directory;
    this.up = up;
    this.#disk = disk;
    this.#nic = nic;
    this.ram = openRam(up.machine.platform.ram!);
    this.#quiet = new Map(["disk", "nic", "clock"].map((name) => [name, this.status(name).generation]));
    this.#work = this.#keepWorking();
  }

  static async open(options: HostileOptions): Promise<HostileDevices> {
    const directory = mkdtempSync(path.join(tmpdir(), "airlock-hostile-"));
    try {
      const file = path.join(directory, "machine.yaml");
      writeFileSync(file, machineText(directory, options));
      const up = await bringUp({ file, state: path.join(directory, "state") });
      try {
        await vi.waitUntil(() => up.machine.settled, { timeout: patienceMs, interval: 20 });
        const environment = { clock: up.machine.clock, random: seeded(1) };
        const disk = await createBlockWorkload(up.machine.client("disk") as Volume, environment);
        const nic = await createNetWorkload(up.machine.client("nic") as OpenInterface, environment);
        return new HostileDevices(directory, up, disk, nic);
      } catch (error) {
        const states = [...up.machine.drivers.values()].map(({ name, supervisor: { status } }) => `${name}: ${status.state} ${status.lastFailure?.failure.message ?? ""}`);
        await up.close();
        throw new Error(`the machine did not come up: ${states.join("; ")}`, { cause: error });
      }
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  client(name: string): unknown {
    return this.up.machine.client(name);
  }

  status(name: string): DriverStatus {
    return this.up.machine.driver(name).supervisor.status;
  }

  /** Failures so far, of all kinds. */
  failures(name: string): number {
    return Object.values(this.status(name).failures).reduce((sum, count) => sum + count, 0);
  }

  /** Kinds of the driver's failures so far. */
  kinds(name: string): FailureKind[] {
    return Object.keys(this.status(name).failures) as FailureKind[];
  }

  /** Runs code inside the driver, with the raw bridge; what it closes over does not cross. */
  run(name: string, code: (tools: FaultTools) => unknown): void {
    this.up.machine.driver(name).supervisor.inject("now", String(code));
  }

  /** Waits until the driver has failed and its state is what is said. */
  async until(name: string, state: DriverStatus["state"], failures: number): Promise<Failure> {
    const isSo = (): boolean => this.failures(name) >= failures && this.status(name).state === state;
    try {
      await vi.waitUntil(isSo, { timeout: patienceMs, interval: 5 });
    } catch {
      const { state: now, failures: had, lastFailure } = this.status(name);
      throw new Error(`${name} is ${now}, not ${state} after ${failures} failures; it had ${JSON.stringify(had)}: ${lastFailure?.failure.message ?? ""}`);
    }
    return this.status(name).lastFailure!.failure;
  }

  /** The bytes of one region of a driver's DMA memory, as they are now. */
  memory(name: string, region: string): { readonly offset: number; readonly bytes: Uint8Array } {
    const { ramOffset, sizeBytes } = this.up.machine.io.memory(name).find((mapping) => mapping.name === region)!;
    const bytes = new Uint8Array(sizeBytes);
    this.ram.read(ramOffset, bytes);
    return { offset: ramOffset, bytes };
  }

  /** Everything granted so far has been seen by nobody else: the neighbours work on, have lost nothing and were not restarted. */
  async neighboursAreWell(): Promise<void> {
    const before = [this.#disk, this.#nic].map(({ totals }) => totals.operations);
    await vi.waitUntil(() => [this.#disk, this.#nic].every(({ totals }, index) => totals.operations > before[index]! + 20), { timeout: patienceMs, interval: 5 });
    await (this.client("clock") as RtcClient).readTime();
    for (const { totals, errors } of [this.#disk, this.#nic]) {
      if (totals.clientErrors + totals.bytesCorrupted + totals.bytesLost > 0) throw new Error(`a neighbour's client saw ${JSON.stringify(totals)}: ${errors.join("; ")}`);
    }
    for (const [name, generation] of this.#quiet) {
      const { failures, generation: now } = this.status(name);
      if (now !== generation) throw new Error(`the honest driver "${name}" was restarted: ${JSON.stringify(failures)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#working = false;
    await this.#work;
    await this.#disk.close();
    await this.#nic.close();
    this.ram.close();
    await this.up.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #keepWorking(): Promise<void> {
    while (this.#working) {
      await this.#disk.step();
      await this.#nic.step();
      await new Promise((resolve) => { setTimeout(resolve, neighbourPauseMs); });
    }
  }
}

function machineText(directory: string, { tier, fixture, attackers, shadow = "" }: HostileOptions): string {
  const { compatible, honest, device, grants } = kinds[fixture];
  const relative = (folder: string): string => path.relative(directory, path.join(root, folder));
  let slot = 3;
  const place = (): string => {
    const device = slot++;
    return `"${hex(device >> 5)}:${hex(device & 0x1f)}.0"`;
  };
  const devices: string[] = [];
  const drivers: string[] = [];
  for (const [name, attacker] of Object.entries(attackers)) {
    const { attack, address = 0, restarts = 1, after = "honest", device: more = "", limits = "" } = attacker;
    copyPackage(path.join(directory, "packages", attack), fixture, attack);
    const escalate = after === "honest" ? `, escalate: { to: alternative, package: ${relative(honest)} }` : "";
    const restart = `{ policy: permanent, intensity: ${restarts}, period: 600s, backoff: { initial: 1ms, max: 1ms }${escalate} }`;
    devices.push(`  ${name}-device: { compatible: [${compatible}], pci: { address: ${place()} }, options: { ${device}${more === "" ? "" : `, ${more}`} } }`);
    drivers.push(`  ${name}: { package: packages/${attack}, device: ${name}-device, sandbox: ${tier}, grants: [${grants}], options: { address: ${address} }, `
      + `restart: ${restart}, shadow: { ${shadow} }, limits: { ${limits} }, spares: 0 }`);
  }
  return `machine: hostile
platform: { type: sim }
devices:
  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }
  honest-disk: { compatible: [nvme], pci: { address: ${place()} }, options: { sizeBytes: 8388608 } }
  honest-nic: { compatible: [e1000], pci: { address: ${place()} }, options: { peer: host, address: 10.77.0.2 } }
${devices.join("\n")}
drivers:
  clock: { package: ${relative("drivers/rtc-mc146818")}, device: rtc, sandbox: ${tier}, grants: [cmos, tick] }
  disk: { package: ${relative("drivers/nvme")}, device: honest-disk, sandbox: ${tier}, grants: [bar0, msix0, queues, buffers], shadow: { checksums: true }, limits: { irqPerSecond: 200000 } }
  nic: { package: ${relative("drivers/e1000")}, device: honest-nic, sandbox: ${tier}, grants: [bar0, intx, queues, buffers], limits: { irqPerSecond: 200000 } }
${drivers.join("\n")}
`;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, "0");
}

/** The fixture package with that attack as its entry file. */
function copyPackage(target: string, fixture: string, attack: string): void {
  const source = path.join(fixtures, fixture);
  mkdirSync(target, { recursive: true });
  cpSync(source, target, { recursive: true });
  const manifest = JSON.parse(readFileSync(path.join(source, "driver.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(path.join(target, "driver.json"), JSON.stringify({ ...manifest, main: `${attack}.ts` }, null, 2));
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What a call was refused with; undefined when it was served. */
export async function refusal(call: Promise<unknown>): Promise<AirlockError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (isAirlockError(error)) return error;
    throw error;
  }
}
