/** The sim platform without a thread: the same backend on the world's own clock, for deterministic worlds. */
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { InlineConnection, type InlineHandle } from "../../bus/inline-connection.ts";
import type { VirtualClock } from "../../api/clock.ts";
import type { BusConnection, BusGrant, BusReport, Platform, PlatformEvents } from "../../bus/platform.ts";
import { findSimDevices } from "./find-devices.ts";
import { SimBackend } from "./sim-backend.ts";
import type { RamHandle } from "../../bus/ram.ts";
import { freeRam, createRam, openRam } from "../../native/ram.ts";
import { type SimThreadOptions, simRamBytes } from "./sim-platform.ts";

export class InlineSimPlatform implements Platform<InlineHandle> {
  readonly type = "sim";
  readonly devices: readonly DeviceDescription[];
  readonly ram: RamHandle | undefined;
  readonly #backend: SimBackend;
  readonly #watchers = new Set<PlatformEvents>();
  #closed = false;

  private constructor(backend: SimBackend, devices: readonly DeviceDescription[], ram: RamHandle | undefined) {
    this.#backend = backend;
    this.devices = devices;
    this.ram = ram;
    backend.onResetRequest((device) => { for (const events of this.#watchers) events.resetRequested?.(device); });
  }

  static async start(options: Omit<SimThreadOptions, "ram">, clock: VirtualClock): Promise<InlineSimPlatform> {
    const devices = await findSimDevices(options.devices);
    const ram = options.devices.some(({ pci }) => pci !== undefined) ? createRam(simRamBytes, 0) : undefined;
    const backend = new SimBackend({ devices, epochMs: options.epochMs, clock, directory: options.directory, ram: ram && openRam(ram) });
    return new InlineSimPlatform(backend, options.devices, ram);
  }

  async connect(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<InlineHandle>> {
    if (this.#closed) throw new AirlockError("Closed", "the platform was closed");
    return new InlineConnection(this.#backend, grant, report, this.ram);
  }

  /** Reports are made in the call that causes them. */
  hearReports(): void {}

  async powerCut(device: string): Promise<void> {
    this.#backend.powerCut(device);
  }

  async plug(device: string, isIn: boolean): Promise<void> {
    this.#backend.plug(device, isIn);
  }

  async statistics(device: string): Promise<Readonly<Record<string, number>>> {
    return this.#backend.statistics(device);
  }

  /** Hardware in the same thread is never lost. */
  watch(events: PlatformEvents): () => void {
    this.#watchers.add(events);
    return () => this.#watchers.delete(events);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#backend.close();
    if (this.ram !== undefined) freeRam(this.ram);
  }
}
