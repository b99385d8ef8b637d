/** A deterministic machine whose one disk, card or watchdog lies, beside an honest disk and clock that must not notice. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type ErrorCode, isAirlockError } from "../../runtime/api/errors.ts";
import type { FailureKind } from "../../runtime/api/failure.ts";
import type { Volume } from "../../runtime/classes/block/volume.ts";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import { World } from "../../runtime/cli/world.ts";
import e1000 from "../../runtime/models/e1000.ts";
import i6300esb from "../../runtime/models/i6300esb.ts";
import nvme from "../../runtime/models/nvme.ts";
import type { DriverState } from "../../runtime/supervisor/driver-status.ts";
import { LyingDevice } from "../fixtures/lying-device.ts";

const root = path.join(import.meta.dirname, "../..");
export const page = 4_096;
export const second = 1e6;
/** Restarts the machine file allows. */
const intensity = 2;
/** Of machine time: all deadlines, resets and restarts of a driver that is held in the end, several times. */
const limitMicros = 120 * second;

const kinds = {
  nvme: { model: nvme, options: "sizeBytes: 1048576", grants: "bar0, msix0, queues, buffers", shadow: "checksums: true" },
  e1000: { model: e1000, options: "peer: host", grants: "bar0, intx, queues, buffers", shadow: "" },
  i6300esb: { model: i6300esb, options: "", grants: "bar0, config", shadow: "" },
} as const;

/** What may become of a lie. */
export interface Lie {
  /** From now on the device does this; called before the machine starts, or while it is at work. */
  readonly tell: (device: LyingDevice) => void;
  readonly fromStart?: true;
  /** Failures of its driver, if any. */
  readonly kinds?: readonly FailureKind[];
  readonly state: DriverState;
  /** What its client is told; undefined for nothing: it is served. */
  readonly code?: ErrorCode;
}

export class LyingMachine implements AsyncDisposable {
  readonly world: World;
  readonly device: LyingDevice;
  readonly #directory: string;

  private constructor(world: World, device: LyingDevice, directory: string) {
    this.world = world;
    this.device = device;
    this.#directory = directory;
  }

  static async open(kind: keyof typeof kinds, lie: Lie): Promise<LyingMachine> {
    const device = await LyingDevice.define("lying", kinds[kind].model);
    const directory = mkdtempSync(path.join(tmpdir(), "airlock-lying-"));
    const file = path.join(directory, "machine.yaml");
    writeFileSync(file, machineText(directory, kind));
    if (lie.fromStart === true) lie.tell(device);
    try {
      const world = await World.open({ file, seed: 1 });
      await world.run(0.2 * second);
      return new LyingMachine(world, device, directory);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get status() {
    return this.world.machine.driver("lied-to").supervisor.status;
  }

  client(name: string): unknown {
    return this.world.machine.client(name);
  }

  /** The codes of what calls were refused with; undefined for each that was served. */
  async codes(...calls: readonly Promise<unknown>[]): Promise<(ErrorCode | undefined)[]> {
    const outcomes = calls.map((call) => call.then(() => undefined, (error: unknown) => {
      if (isAirlockError(error)) return error.code;
      throw error;
    }));
    return this.world.until(Promise.all(outcomes), limitMicros);
  }

  async ends(state: DriverState, kinds: readonly FailureKind[]): Promise<void> {
    for (let waited = 0; this.status.state !== state && waited < limitMicros; waited += 0.05 * second) await this.world.run(0.05 * second);
    const { failures, lastFailure, restarts } = this.status;
    const message = lastFailure?.failure.message ?? "it has not failed";
    assert.equal(this.status.state, state, `it is ${this.status.state}, not ${state}: ${message}`);
    for (const kind of Object.keys(failures) as FailureKind[]) assert.ok(kinds.includes(kind), `a failure of kind ${kind}: ${message}`);
    if (state === "held") assert.deepEqual([Object.values(failures).reduce((sum, count) => sum + count, 0), restarts], [intensity + 1, intensity]);
  }

  /** Everybody else works, and has noticed nothing. */
  async othersAreWell(): Promise<void> {
    const volume = this.client("disk") as Volume;
    const data = new Uint8Array(4 * page).map((_, index) => index >> 3);
    await this.world.until(volume.write(page, data));
    assert.equal(Buffer.compare(await this.world.until(volume.read(page, data.length)), data), 0, "the honest disk returned something else");
    await this.world.until((this.client("clock") as RtcClient).readTime());
    for (const name of ["disk", "clock"]) {
      const { state, generation, failures } = this.world.machine.driver(name).supervisor.status;
      assert.deepEqual({ state, generation, failures }, { state: "running", generation: 1n, failures: {} }, name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function machineText(directory: string, kind: keyof typeof kinds): string {
  const driver = (name: string): string => path.relative(directory, path.join(root, "drivers", name));
  const { options, grants, shadow } = kinds[kind];
  return `machine: lied-to
platform: { type: sim }
devices:
  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }
  honest: { compatible: [nvme], pci: { address: "00:04.0" }, options: { sizeBytes: 1048576 } }
  liar: { compatible: [lying, ${kind}], pci: { address: "00:05.0" }, options: { ${options} } }
drivers:
  clock: { package: ${driver("rtc-mc146818")}, device: rtc, grants: [cmos, tick] }
  disk: { package: ${driver("nvme")}, device: honest, grants: [bar0, msix0, queues, buffers] }
  lied-to:
    package: ${driver(kind)}
    device: liar
    grants: [${grants}]
    shadow: { ${shadow} }
    restart: { policy: permanent, intensity: ${intensity}, period: 600s, backoff: { initial: 1ms, max: 1ms } }
    limits: { irqPerSecond: 20000 }
`;
}
