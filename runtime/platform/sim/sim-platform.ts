/** The sim platform: models of runtime/models in a hardware thread of their own, which outlives every driver. */
import type { Clock } from "../../api/clock.ts";
import type { ChannelHandle } from "../../bus/channel-port.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { HardwareThread } from "../../bus/hardware-thread.ts";
import type { BusConnection, BusGrant, BusReport, Platform, PlatformEvents } from "../../bus/platform.ts";
import type { RamHandle } from "../../bus/ram.ts";
import { freeRam, createRam } from "../../native/ram.ts";
import { findSimDevices } from "./find-devices.ts";

/** What the hardware's thread is given. */
export interface SimThreadOptions {
  readonly devices: readonly DeviceDescription[];
  /** Civil time at the thread's start, in milliseconds since the Unix epoch. */
  readonly epochMs: number;
  /** The machine file's folder. */
  readonly directory: string;
  /** The memory devices reach; none when no device has DMA. */
  readonly ram?: RamHandle;
}

/** Memory of a simulated machine with PCI devices: address space, pages come when they are touched. */
export const simRamBytes = 256 * 2 ** 20;

export class SimPlatform implements Platform<ChannelHandle> {
  readonly type = "sim";
  readonly devices: readonly DeviceDescription[];
  readonly ram: RamHandle | undefined;
  readonly #thread: HardwareThread;
  #closed = false;

  private constructor(thread: HardwareThread, devices: readonly DeviceDescription[], ram: RamHandle | undefined) {
    this.#thread = thread;
    this.devices = devices;
    this.ram = ram;
  }

  /** @throws AirlockError NotFound for a device no model is compatible with, PlatformUnavailable when the thread fails. */
  static async start(options: Omit<SimThreadOptions, "ram">, clock: Clock): Promise<SimPlatform> {
    // Told here for what is wrong with them; what they are plugged into is the thread's, and some can be opened only once.
    for (const { network } of await findSimDevices(options.devices)) network.close?.();
    const ram = options.devices.some(({ pci }) => pci !== undefined) ? createRam(simRamBytes, 0) : undefined;
    try {
      return new SimPlatform(await HardwareThread.start("platform/sim/sim-thread", { ...options, ram }, clock), options.devices, ram);
    } catch (error) {
      if (ram !== undefined) freeRam(ram);
      throw error;
    }
  }

  connect(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<ChannelHandle>> {
    return this.#thread.connect(grant, report, this.ram);
  }

  hearReports(): void {
    this.#thread.hearReports();
  }

  statistics(device: string): Promise<Readonly<Record<string, number>>> {
    return this.#thread.statistics(device);
  }

  powerCut(device: string): Promise<void> {
    return this.#thread.powerCut(device);
  }

  plug(device: string, isIn: boolean): Promise<void> {
    return this.#thread.plug(device, isIn);
  }

  watch(events: PlatformEvents): () => void {
    return this.#thread.watch(events);
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#thread.close();
    this.#closed = true;
    await this.#thread.close();
    if (this.ram !== undefined) freeRam(this.ram);
  }
}
