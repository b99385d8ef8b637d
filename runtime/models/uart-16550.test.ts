/** Finer points of the 16550A model; what every such UART must do is in test/conformance/devices/uart-16550.suite.ts. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import { type DeviceDescription, type Model, type SerialLine, type SerialPeer, serialLineBytes } from "../bus/device.ts";
import { frameTimes } from "./uart-16550-frame.ts";
import uart16550 from "./uart-16550.ts";
import { levelPin, modelEnvironment } from "../../test/fixtures/model-environment.ts";

const [data, ier, fcr, lcr, mcr, lsr] = [0, 1, 2, 3, 4, 5];
const rts = 0x02;

/** A character at divisor 12 (what firmware leaves) with 5 data bits (what reset leaves), then one of 8N1 at divisor 1. */
const resetCharacterMicros = (7 * 12 * 16 * 1e6) / 1_843_200;
const fastCharacterMicros = (10 * 16 * 1e6) / 1_843_200;

interface Rig {
  readonly clock: VirtualClock;
  readonly model: Model;
  readonly line: SerialLine;
  readonly received: number[];
  ready: number;
  level: boolean;
  get(offset: number): number;
  set(offset: number, value: number): void;
}

function rig(options: DeviceDescription["options"] = {}, onByte: (byte: number, line: SerialLine) => void = () => undefined): Rig {
  const clock = new VirtualClock();
  const made = { level: false, ready: 0, received: [] as number[] };
  let line: SerialLine | undefined;
  const serial: SerialPeer = {
    connect: (connected) => { line = connected; },
    receive: (byte) => { made.received.push(byte); onByte(byte, line!); },
    outputs: () => undefined,
    ready: () => { made.ready++; },
  };
  const model = uart16550.create({ name: "com", compatible: ["uart-16550"], windows: {}, irqs: {}, options }, modelEnvironment({
    clock, serial, irq: (name) => levelPin((asserted) => { expect(name).toBe("line"); made.level = asserted; }),
  }));
  const regs = model.spaces["regs"]!;
  return Object.assign(made, {
    clock, model, line: line!,
    get: (offset: number) => regs.read(offset, 8),
    set: (offset: number, value: number) => regs.write(offset, 8, value),
  });
}

/** 115200 baud, 8N1. */
function fast(port: Rig): void {
  port.set(lcr, 0x80);
  port.set(data, 1);
  port.set(ier, 0);
  port.set(lcr, 0x03);
}

describe("frames", () => {
  test("take start, data, parity and stop bits", () => {
    expect(frameTimes(0x03, 12, 1_843_200).characterMicros).toBeCloseTo(1041.67, 1);
    expect(frameTimes(0x04, 1, 1_600_000)).toEqual({ characterMicros: 75, lastStopMicros: 5, dataMask: 0x1f });
    expect(frameTimes(0x0e, 1, 1_600_000)).toEqual({ characterMicros: 110, lastStopMicros: 10, dataMask: 0x7f });
  });

  test("a divisor of 0 counts 65536", () => {
    expect(frameTimes(0x03, 0, 1_843_200).characterMicros).toBeCloseTo(65_536 * frameTimes(0x03, 1, 1_843_200).characterMicros, 3);
  });

  test("option clockHz is the crystal", () => {
    const port = rig({ clockHz: 3_686_400 });
    port.set(data, 5);
    port.clock.advance(resetCharacterMicros / 2 + 1);
    expect(port.received).toEqual([5]);
  });
});

describe("flow", () => {
  test("with flow rts, the line starts no character while RTS is inactive", () => {
    const port = rig({ flow: "rts" });
    fast(port);
    expect(port.line.send(Uint8Array.of(1, 2, 3))).toBe(3);
    port.clock.advance(1e6);
    expect(port.get(lsr) & 1).toBe(0);
    expect(port.clock.pending).toBe(0);
    port.set(fcr, 0x01);
    port.set(mcr, rts);
    port.clock.advance(fastCharacterMicros * 1.5);
    port.set(mcr, 0);
    port.clock.advance(1e6);
    // The one on its way when RTS fell still arrives.
    expect([port.get(data), port.get(data), port.get(lsr) & 1]).toEqual([1, 2, 0]);
  });

  test("without flow, characters nobody reads are overruns and are counted", () => {
    const port = rig();
    fast(port);
    port.set(fcr, 0x01);
    port.line.send(Uint8Array.from({ length: 40 }, (_, at) => at));
    port.clock.advance(1e6);
    expect(port.model.statistics()).toMatchObject({ bytesReceived: 40, overrunBytes: 24, discardedBytes: 0 });
    port.set(fcr, 0x03);
    expect(port.model.statistics()).toMatchObject({ bytesReceived: 40, overrunBytes: 24, discardedBytes: 16 });
  });

  test("characters that arrive during loopback are lost and counted", () => {
    const port = rig();
    fast(port);
    port.set(mcr, 0x10);
    port.line.send(Uint8Array.of(1, 2, 3));
    port.clock.advance(1e6);
    expect(port.get(lsr) & 1).toBe(0);
    expect(port.model.statistics()).toMatchObject({ bytesReceived: 3, loopbackLostBytes: 3 });
  });

  test("the line's queue is bounded, and says when it has room again", () => {
    const port = rig();
    fast(port);
    expect(port.line.send(new Uint8Array(serialLineBytes + 10))).toBe(serialLineBytes);
    expect(port.line.send(Uint8Array.of(1))).toBe(0);
    port.clock.advance((serialLineBytes / 2 - 2) * fastCharacterMicros);
    expect(port.ready).toBe(0);
    port.clock.advance(4 * fastCharacterMicros);
    expect(port.ready).toBe(1);
    port.clock.advance(serialLineBytes * fastCharacterMicros);
    expect(port.ready).toBe(1);
    expect(port.clock.pending).toBe(0);
  });
});

describe("transmitter", () => {
  test("what is written to a full FIFO is lost and counted", () => {
    const port = rig();
    fast(port);
    port.set(fcr, 0x01);
    for (let byte = 0; byte < 20; byte++) port.set(data, byte);
    port.clock.advance(1e6);
    expect(port.received).toEqual(Array.from({ length: 17 }, (_, at) => at));
    expect(port.model.statistics()).toMatchObject({ bytesTransmitted: 17, transmitOverrunBytes: 3 });
  });

  test("a break keeps characters from the far end", () => {
    const port = rig();
    fast(port);
    port.set(lcr, 0x43);
    port.set(data, 1);
    port.clock.advance(1e6);
    port.set(lcr, 0x03);
    port.set(data, 2);
    port.clock.advance(1e6);
    expect(port.received).toEqual([2]);
    expect(port.model.statistics()).toMatchObject({ bytesTransmitted: 1, breakLostBytes: 1 });
  });

  test("a peer may answer from within receive", () => {
    const port = rig({}, (byte, line) => line.send(Uint8Array.of(byte + 1)));
    fast(port);
    port.set(fcr, 0x01);
    for (const byte of [10, 20, 30]) port.set(data, byte);
    port.clock.advance(1e6);
    expect([port.get(data), port.get(data), port.get(data)]).toEqual([11, 21, 31]);
  });
});

test("reset stops everything, drops the pin, and leaves divisor and scratch", () => {
  const port = rig();
  fast(port);
  port.set(fcr, 0x01);
  port.set(7, 0x5a);
  port.set(mcr, 0x0b);
  port.set(ier, 0x0f);
  port.line.send(Uint8Array.of(1, 2, 3));
  for (const byte of [1, 2, 3]) port.set(data, byte);
  port.clock.advance(1.5 * fastCharacterMicros);
  expect(port.level).toBe(true);
  port.model.reset();
  expect(port.level).toBe(false);
  expect(port.clock.pending).toBe(0);
  expect([1, 2, 3, 4, 5, 7].map((offset) => port.get(offset))).toEqual([0, 1, 0, 0, 0x60, 0x5a]);
  port.set(lcr, 0x80);
  expect(port.get(data)).toBe(1);
});

test("no sequence of accesses, characters and damage throws, reads outside a byte, or leaves more than four timers", () => {
  const offset = fc.integer({ min: 0, max: 7 });
  const waitMicros = fc.integer({ min: 0, max: 20_000 });
  const damage = fc.constantFrom("break" as const, "framing" as const, "parity" as const);
  const step = fc.oneof(
    fc.record({ kind: fc.constant("write" as const), offset, value: fc.integer({ min: 0, max: 255 }), waitMicros }),
    fc.record({ kind: fc.constant("read" as const), offset, value: fc.constant(0), waitMicros }),
    fc.record({ kind: fc.constant("send" as const), offset, value: fc.integer({ min: 0, max: 255 }), waitMicros }),
    fc.record({ kind: damage, offset, value: fc.constant(0), waitMicros }),
    fc.record({ kind: fc.constant("inputs" as const), offset, value: fc.integer({ min: 0, max: 15 }), waitMicros }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom("none", "rts"), (steps, flow) => {
    const port = rig({ flow }, (byte, line) => line.send(Uint8Array.of(byte)));
    for (const { kind, offset: at, value, waitMicros: wait } of steps) {
      const read = kind === "read" ? port.get(at) : 0;
      expect(Number.isInteger(read) && read >= 0 && read <= 255).toBe(true);
      if (kind === "write") port.set(at, value);
      else if (kind === "send") port.line.send(new Uint8Array(value).fill(value));
      else if (kind === "inputs") port.line.inputs({ cts: value % 2 === 1, dsr: value % 3 === 1, ri: value % 5 > 2, dcd: value > 7 });
      else if (kind !== "read") port.line.disturb(kind);
      expect(port.clock.pending).toBeLessThanOrEqual(4);
      port.clock.advance(wait);
    }
    const { bytesReceived, overrunBytes, discardedBytes } = port.model.statistics() as Record<string, number>;
    expect(bytesReceived! >= 0 && overrunBytes! >= 0 && discardedBytes! >= 0).toBe(true);
    port.model.reset();
    expect([port.clock.pending, port.level]).toEqual([0, false]);
  }));
});

test("every character sent to a driver that keeps up arrives, whatever the format", () => {
  const formats = fc.integer({ min: 0, max: 0x3f });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), formats, fc.integer({ min: 1, max: 200 }), (bytes, format, divisor) => {
    const port = rig();
    port.set(lcr, 0x80);
    port.set(data, divisor);
    port.set(lcr, format);
    port.set(fcr, 0xc1);
    port.set(mcr, 0x08);
    port.set(ier, 0x01);
    port.line.send(bytes);
    const got: number[] = [];
    while (port.clock.step()) {
      if (port.level) while ((port.get(lsr) & 1) !== 0) got.push(port.get(data));
    }
    const mask = frameTimes(format, divisor, 1_843_200).dataMask;
    expect(got).toEqual(Array.from(bytes, (byte) => byte & mask));
  }), { numRuns: 50 });
});
