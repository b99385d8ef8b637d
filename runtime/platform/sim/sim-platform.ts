/** The sim platform: models of runtime/models in a hardware thread of their own, which outlives every driver. */
import type { Clock } from "../../api/clock.ts";
import type { ChannelHandle } from "../../bus/channel-port.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { HardwareThread } from "../../bus/hardware-thread.ts";
import type { BusConnection, BusGrant, BusReport, Platform, PlatformEvents } from "../../bus/platform.ts";
import { findSimDevices } from "./find-devices.ts";

/** What the hardware's thread is given. */
export interface SimThreadOptions {
  readonly devices: readonly DeviceDescription[];
  /** Civil time at the thread's start, in milliseconds since the Unix epoch. */
  readonly epochMs: number;
}

export class SimPlatform implements Platform<ChannelHandle> {
  readonly type = "sim";
  readonly devices: readonly DeviceDescription[];
  readonly #thread: HardwareThread;

  private constructor(thread: HardwareThread, devices: readonly DeviceDescription[]) {
    this.#thread = thread;
    this.devices = devices;
  }

  /** @throws AirlockError NotFound for a device no model is compatible with, PlatformUnavailable when the thread fails. */
  static async start(options: SimThreadOptions, clock: Clock): Promise<SimPlatform> {
    await findSimDevices(options.devices);
    return new SimPlatform(await HardwareThread.start("platform/sim/sim-thread", options, clock), options.devices);
  }

  connect(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<ChannelHandle>> {
    return this.#thread.connect(grant, report);
  }

  statistics(device: string): Promise<Readonly<Record<string, number>>> {
    return this.#thread.statistics(device);
  }

  watch(events: PlatformEvents): () => void {
    return this.#thread.watch(events);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
