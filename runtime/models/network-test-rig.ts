/** A network card's model with memory, a clock and a far end around it, for the models' own tests. */
import assert from "node:assert/strict";
import { VirtualClock } from "../api/clock.ts";
import type { DeviceDescription, DmaPort, Model, ModelDefinition, ModelEnvironment } from "../bus/device.ts";
import type { NetworkPeer, NetworkWire } from "../bus/network-peer.ts";

export const ramBytes = 1 << 20;

export interface NetworkRig {
  readonly clock: VirtualClock;
  readonly model: Model;
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly wire: NetworkWire;
  readonly received: Uint8Array[];
  /** Bytes that went over the bus, either way. */
  readonly moved: { bytes: number; accesses: number };
  level: boolean;
  rises: number;
}

/** What the far end does with a frame. */
export type Answer = (frame: Uint8Array, wire: NetworkWire) => void;

/** All of the RAM is mapped from 0 on; beyond it nothing is. */
export function networkRig(
  definition: ModelDefinition, options: DeviceDescription["options"] = {}, answer: Answer = () => undefined, keep: (frame: Uint8Array) => void = () => undefined,
): NetworkRig {
  const clock = new VirtualClock();
  const ram = new Uint8Array(ramBytes);
  const moved = { bytes: 0, accesses: 0 };
  const within = (iova: number, sizeBytes: number): boolean => {
    moved.bytes += sizeBytes;
    moved.accesses++;
    return iova >= 0 && iova + sizeBytes <= ramBytes;
  };
  const dma: DmaPort = {
    read: (iova, into) => within(iova, into.length) && (into.set(ram.subarray(iova, iova + into.length)), true),
    write: (iova, from) => within(iova, from.length) && (ram.set(from, iova), true),
  };
  const received: Uint8Array[] = [];
  let wire!: NetworkWire;
  const network: NetworkPeer = {
    connect: (connected) => {
      wire = connected;
      wire.setCarrier(true);
    },
    receive: (frame) => {
      received.push(frame.slice());
      keep(frame);
      answer(frame, wire);
    },
  };
  const made = { level: false, rises: 0 };
  const environment: ModelEnvironment = {
    clock, epochMs: 0, network, dma, directory: "/nowhere", requestReset: () => undefined, serial: { connect: () => undefined, receive: () => undefined, outputs: () => undefined },
    irq: (name) => ({
      set: (asserted) => {
        assert.equal(name, "intx");
        made.level = asserted;
        if (asserted) made.rises++;
      },
      pulse: () => { throw new Error("the card has no MSI-X"); },
    }),
  };
  const model = definition.create({ name: "nic", compatible: definition.compatible, windows: {}, irqs: {}, options }, environment);
  return Object.assign(made, { clock, model, ram, view: new DataView(ram.buffer), wire, received, moved });
}
