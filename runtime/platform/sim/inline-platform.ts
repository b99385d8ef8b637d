/** The sim platform without a thread: the same backend on the world's own clock, for deterministic worlds. */
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { InlineConnection, type InlineHandle } from "../../bus/inline-connection.ts";
import type { VirtualClock } from "../../api/clock.ts";
import type { BusConnection, BusGrant, BusReport, Platform } from "../../bus/platform.ts";
import { findSimDevices } from "./find-devices.ts";
import { SimBackend } from "./sim-backend.ts";
import type { SimThreadOptions } from "./sim-platform.ts";

export class InlineSimPlatform implements Platform<InlineHandle> {
  readonly type = "sim";
  readonly devices: readonly DeviceDescription[];
  readonly #backend: SimBackend;
  #closed = false;

  private constructor(backend: SimBackend, devices: readonly DeviceDescription[]) {
    this.#backend = backend;
    this.devices = devices;
  }

  static async start(options: SimThreadOptions, clock: VirtualClock): Promise<InlineSimPlatform> {
    const devices = await findSimDevices(options.devices);
    return new InlineSimPlatform(new SimBackend({ devices, epochMs: options.epochMs, clock }), options.devices);
  }

  async connect(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<InlineHandle>> {
    if (this.#closed) throw new AirlockError("Closed", "the platform was closed");
    return new InlineConnection(this.#backend, grant, report);
  }

  async statistics(device: string): Promise<Readonly<Record<string, number>>> {
    return this.#backend.statistics(device);
  }

  /** Hardware in the same thread is never lost. */
  watch(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#backend.close();
  }
}
