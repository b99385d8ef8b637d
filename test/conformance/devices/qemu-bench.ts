/** The device bench on QEMU's own devices: the QEMU backend used in this thread, its clock stepped by hand. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import type net from "node:net";
import path from "node:path";
import { VirtualClock } from "../../../runtime/api/clock.ts";
import type { DeviceDescription } from "../../../runtime/bus/device.ts";
import type { HardwareBackend } from "../../../runtime/bus/hardware-backend.ts";
import { openConnector } from "../../../runtime/platform/qemu/connector.ts";
import { createQemuBackend } from "../../../runtime/platform/qemu/qemu-backend.ts";
import { QemuProcess } from "../../../runtime/platform/qemu/qemu-process.ts";
import type { BenchFactory, BenchOptions, DeviceBench, Difference } from "./bench.ts";

/** Turns of QEMU's event loop until a byte on a socket is in the UART: notice room, notice the byte, take it, and one to spare. */
const settlingTurns = 4;

export function qemuBench(device: Omit<DeviceDescription, "name" | "options">, differences: readonly Difference[]): BenchFactory {
  const description: DeviceDescription = { ...device, name: "device", options: {} };
  return { platform: "qemu", differences: new Set(differences), canDriveWire: false, open: (options) => openQemu(description, options) };
}

async function openQemu(description: DeviceDescription, { epochMs }: BenchOptions): Promise<DeviceBench> {
  const qemu = await QemuProcess.start({ devices: [description], epochMs });
  const clock = new VirtualClock();
  const setup = { fifos: qemu.fifos, devices: [description], minStepMicros: 0, maxLateMicros: Infinity };
  try {
    const wire = qemu.connectors[0] === undefined ? undefined : await openConnector(qemu.connectors[0]);
    const backend = createQemuBackend(setup, clock);
    settle(backend);
    return new QemuBench(qemu, backend, clock, description, wire);
  } catch (error) {
    await qemu.close();
    throw error;
  }
}

class QemuBench implements DeviceBench {
  readonly #qemu: QemuProcess;
  readonly #backend: HardwareBackend;
  readonly #clock: VirtualClock;
  readonly #description: DeviceDescription;
  readonly #wire: net.Socket | undefined;
  #received: Uint8Array[] = [];

  constructor(qemu: QemuProcess, backend: HardwareBackend, clock: VirtualClock, description: DeviceDescription, wire: net.Socket | undefined) {
    this.#qemu = qemu;
    this.#backend = backend;
    this.#clock = clock;
    this.#description = description;
    this.#wire = wire;
    wire?.on("data", (bytes: Buffer) => this.#received.push(bytes));
  }

  read8(window: string, offset: number): number {
    const value = this.#space(window).read(offset, 8);
    settle(this.#backend);
    return value;
  }

  write8(window: string, offset: number, value: number): void {
    this.#space(window).write(offset, 8, value);
    settle(this.#backend);
  }

  advanceMicros(micros: number): void {
    this.#clock.advance(micros);
    settle(this.#backend);
  }

  irqLevel(name: string): boolean {
    const number = this.#backend.irqNumber("device", name);
    if (number === undefined) throw new Error(`the device has no interrupt "${name}"`);
    return this.#backend.line(number).asserted;
  }

  async sendToPort(bytes: Uint8Array): Promise<void> {
    await new Promise((resolve) => this.#wire!.write(bytes, resolve));
    settle(this.#backend);
  }

  /** What the port sent is in the socket by the time its write is answered; it takes this thread's loop a turn to read it. */
  async takeFromPort(): Promise<Uint8Array> {
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    const bytes = Buffer.concat(this.#received);
    this.#received = [];
    return Uint8Array.from(bytes);
  }

  async close(): Promise<void> {
    this.#backend.close();
    this.#wire?.destroy();
    await this.#qemu.close();
    assert.equal(this.#qemu.lost, undefined);
    assert.equal(existsSync(path.dirname(this.#qemu.fifos.commandPath)), false);
    assert.throws(() => process.kill(this.#qemu.pid!, 0), { code: "ESRCH" });
  }

  #space(window: string): NonNullable<ReturnType<HardwareBackend["space"]>> {
    const space = this.#backend.space(this.#description.name, window);
    if (space === undefined) throw new Error(`the device has no window "${window}"`);
    return space;
  }
}

/** Each step of no time is a turn of QEMU's event loop. */
function settle(backend: HardwareBackend): void {
  for (let turn = 0; turn < settlingTurns; turn++) backend.advance();
}
