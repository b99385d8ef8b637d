/** The QEMU platform: a QEMU process, and a hardware thread of its own that talks to it. */
import type { Clock } from "../../api/clock.ts";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { ChannelHandle } from "../../bus/channel-port.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { HardwareThread } from "../../bus/hardware-thread.ts";
import type { RamHandle } from "../../bus/ram.ts";
import { type BusConnection, type BusGrant, type BusReport, type Platform, type PlatformEvents, controlStepMs } from "../../bus/platform.ts";
import { describeDevices } from "./describe.ts";
import { type QemuOptions, QemuProcess } from "./qemu-process.ts";

/**
 * How often the thread is asked for a sign of life. A QEMU that is stopped keeps the thread in a read that nothing but
 * QEMU's end gets it out of, and nobody else would notice before a driver uses its device.
 */
const heartbeatMs = 1_000;

/** A device that is always there to be asked for: none. The thread's answer "NotFound" is a sign of life too. */
const nobody = "";

export class QemuPlatform implements Platform<ChannelHandle> {
  readonly type = "qemu";
  readonly devices: readonly DeviceDescription[];
  readonly ram: RamHandle | undefined;
  readonly #thread: HardwareThread;
  readonly #qemu: QemuProcess;
  readonly #clock: Clock;
  #cancelHeartbeat: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  private constructor(devices: readonly DeviceDescription[], thread: HardwareThread, qemu: QemuProcess, clock: Clock) {
    this.devices = devices;
    this.ram = qemu.setup.ram;
    this.#thread = thread;
    this.#qemu = qemu;
    this.#clock = clock;
    qemu.onLost((reason) => thread.lose(reason));
    qemu.onResetRequest((device) => thread.requestReset(device));
    thread.watch({ lost: () => this.#cancelHeartbeat() });
    this.#scheduleHeartbeat();
  }

  /** @throws AirlockError as describeDevices and QemuProcess.start do, PlatformUnavailable when the thread fails; nothing is left behind. */
  static async start(options: QemuOptions, clock: Clock): Promise<QemuPlatform> {
    const devices = await describeDevices(options.devices);
    const qemu = await QemuProcess.start({ ...options, devices });
    try {
      return new QemuPlatform(devices, await HardwareThread.start("platform/qemu/qemu-thread", qemu.setup, clock), qemu, clock);
    } catch (error) {
      await qemu.close();
      throw error;
    }
  }

  /** The process that is the hardware, for tests that end or stop it. */
  get pid(): number | undefined {
    return this.#qemu.pid;
  }

  connect(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<ChannelHandle>> {
    return this.#thread.connect(grant, report, this.ram);
  }

  /** Plugs a network card's cable in or pulls it. @throws AirlockError as QemuProcess.setLink does */
  setLink(device: string, up: boolean): Promise<void> {
    return this.#qemu.setLink(device, up);
  }

  powerCut(device: string): Promise<void> {
    return this.#thread.powerCut(device);
  }

  plug(device: string, isIn: boolean): Promise<void> {
    return this.#thread.plug(device, isIn);
  }

  hearReports(): void {
    this.#thread.hearReports();
  }

  statistics(device: string): Promise<Readonly<Record<string, number>>> {
    return this.#thread.statistics(device);
  }

  watch(events: PlatformEvents): () => void {
    return this.#thread.watch(events);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  /** The thread first, so that it ends in order; but one that waits for QEMU ends only by QEMU's end. */
  async #end(): Promise<void> {
    this.#cancelHeartbeat();
    const thread = this.#thread.close();
    let cancel = (): void => undefined;
    const limit = new Promise<void>((resolve) => (cancel = this.#clock.setTimer(controlStepMs * 1_000, resolve)));
    await Promise.race([thread, limit]);
    cancel();
    await this.#qemu.close();
    await thread;
  }

  #scheduleHeartbeat(): void {
    this.#cancelHeartbeat = this.#clock.setTimer(heartbeatMs * 1_000, () => void this.#beat());
  }

  async #beat(): Promise<void> {
    try {
      await this.#thread.statistics(nobody);
    } catch (error) {
      const code = error instanceof AirlockError ? error.code : undefined;
      if (code === "HardwareTimeout" && this.#closing === undefined) {
        this.#thread.lose(`QEMU does not answer: ${errorText(error)}`);
        await this.#qemu.close();
      }
      if (code !== "NotFound") return;
    }
    if (this.#closing === undefined) this.#scheduleHeartbeat();
  }
}
