/** The device bench on our own models, under a virtual clock. */
import { expect } from "vitest";
import { VirtualClock } from "../../../runtime/api/clock.ts";
import type { DeviceDescription, SerialInputs, SerialLine, SerialOutputs, SerialPeer } from "../../../runtime/bus/device.ts";
import { findModel } from "../../../runtime/models/find-model.ts";
import type { BenchFactory, BenchOptions, DeviceBench } from "./bench.ts";
import { levelPin, modelEnvironment } from "../../fixtures/model-environment.ts";

/** A factory of benches around the model that is compatible with `compatible`. */
export function simBench(compatible: string, options: DeviceDescription["options"] = {}): BenchFactory {
  return { platform: "sim", differences: new Set(), canDriveWire: true, open: (bench) => openSim(compatible, options, bench) };
}

async function openSim(compatible: string, options: DeviceDescription["options"], { epochMs }: BenchOptions): Promise<DeviceBench> {
  const definition = await findModel([compatible]);
  const clock = new VirtualClock();
  const levels = new Map<string, boolean>();
  const peer = new WirePeer();
  const description: DeviceDescription = { name: "device", compatible: [compatible], windows: {}, irqs: {}, options };
  const model = definition.create(description, modelEnvironment({
    clock, epochMs, serial: peer, irq: (name) => levelPin((asserted) => { levels.set(name, asserted); }),
  }));
  const space = (window: string): NonNullable<(typeof model.spaces)[string]> => {
    const found = model.spaces[window];
    if (found === undefined) throw new Error(`the model of ${compatible} has no window "${window}"`);
    return found;
  };
  return {
    read8: (window, offset) => space(window).read(offset, 8),
    write8: (window, offset, value) => space(window).write(offset, 8, value),
    advanceMicros: (micros) => clock.advance(micros),
    irqLevel: (name) => levels.get(name) ?? false,
    sendToPort: (bytes) => expect(peer.line.send(bytes)).toBe(bytes.length),
    takeFromPort: () => Uint8Array.from(peer.received.splice(0)),
    setModemInputs: (signals) => peer.line.inputs(signals),
    disturb: (kind) => peer.line.disturb(kind),
    outputs: () => peer.driven,
    close: () => {
      model.reset();
      expect(clock.pending).toBe(0);
      expect([...levels.values()].every((level) => !level)).toBe(true);
    },
  };
}

/** A far end that keeps what it gets; its modem says ready, as QEMU's does without one. */
class WirePeer implements SerialPeer {
  readonly received: number[] = [];
  line!: SerialLine;
  driven: SerialOutputs = { dtr: false, rts: false, break: false };

  connect(line: SerialLine): void {
    this.line = line;
    const ready: SerialInputs = { cts: true, dsr: true, ri: false, dcd: true };
    line.inputs(ready);
  }

  receive(byte: number): void {
    this.received.push(byte);
  }

  outputs(signals: SerialOutputs): void {
    this.driven = signals;
  }
}
