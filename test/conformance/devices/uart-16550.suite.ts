/** What every 16550A must do, simulated or QEMU's. Source: National Semiconductor PC16550D data sheet, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type BenchFactory, differs, withBench } from "./bench.ts";
import { type OnUart, Uart, bitMicros, format8n1, ier, iir, lsr, mcr, reg } from "./uart-16550-rig.ts";
import { receiverTests } from "./uart-16550-receiver.suite.ts";

export function uart16550Suite(factory: BenchFactory): void {
  const instant = factory.differences.has("uart-receive-instant");
  const on: OnUart = (body) => () => withBench(factory, { epochMs: 0 }, (bench) => body(new Uart(bench, instant), bench));

  describe(`16550A on ${factory.platform}`, () => {
    describe("registers", () => {
      registerTests(factory, on);
    });
    describe("transmitter", () => {
      transmitterTests(factory, on);
    });
    describe("transmitter interrupt", () => {
      emptyInterruptTests(factory, on);
    });
    receiverTests(factory, on);
    describe("loopback and modem", () => {
      modemTests(factory, on);
    });
    describe("interrupt priority", () => {
      priorityTests(on);
    });
    if (factory.canDriveWire) wireTests(on);
  });
}

function registerTests(factory: BenchFactory, on: OnUart): void {
  const out2 = factory.differences.has("uart-out2-does-not-gate") ? mcr.out2 : 0;

  test(`are as master reset leaves them (table II)${differs(factory, "uart-out2-does-not-gate")}`, on(async (uart) => {
    expect(await uart.get(reg.ier)).toBe(0);
    expect(await uart.get(reg.iir)).toBe(iir.none);
    expect(await uart.get(reg.lcr)).toBe(0);
    expect(await uart.get(reg.mcr)).toBe(out2);
    expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
    expect(await uart.get(reg.msr) & 0x0f).toBe(0);
    expect(await uart.pin()).toBe(false);
  }));

  test("scratch and line control hold every byte", on(async (uart) => {
    for (let value = 0; value < 256; value += 5) {
      await uart.set(reg.scr, value);
      await uart.set(reg.lcr, value ^ 0xff);
      expect(await uart.get(reg.scr)).toBe(value);
      expect(await uart.get(reg.lcr)).toBe(value ^ 0xff);
    }
  }));

  test("undefined bits of IER and MCR read zero", on(async (uart) => {
    await uart.set(reg.ier, 0xff);
    expect(await uart.get(reg.ier)).toBe(0x0f);
    await uart.set(reg.ier, 0);
    await uart.set(reg.mcr, 0xff);
    expect(await uart.get(reg.mcr)).toBe(0x1f);
  }));

  test("the divisor latch hides data and IER while LCR bit 7 is set (8.3)", on(async (uart, bench) => {
    await uart.set(reg.ier, 0x05);
    await uart.set(reg.lcr, 0x80);
    await uart.set(reg.dll, 0x34);
    await uart.set(reg.dlm, 0x12);
    expect([await uart.get(reg.dll), await uart.get(reg.dlm)]).toEqual([0x34, 0x12]);
    await uart.set(reg.lcr, format8n1);
    expect(await uart.get(reg.ier)).toBe(0x05);
    expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
    await uart.set(reg.lcr, 0x80);
    expect([await uart.get(reg.dll), await uart.get(reg.dlm)]).toEqual([0x34, 0x12]);
    expect([...(await bench.takeFromPort())]).toEqual([]);
  }));

  test("IIR says whether the FIFOs are on (8.6)", on(async (uart) => {
    expect(await uart.get(reg.iir)).toBe(iir.none);
    await uart.set(reg.fcr, 0x01);
    expect(await uart.get(reg.iir)).toBe(iir.none | 0xc0);
    await uart.set(reg.fcr, 0x00);
    expect(await uart.get(reg.iir)).toBe(iir.none);
    await uart.set(reg.fcr, 0xc0);
    expect(await uart.get(reg.iir)).toBe(iir.none);
  }));

  test("line status cannot be written", on(async (uart) => {
    await uart.set(reg.lsr, 0x00);
    expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
    await uart.set(reg.lsr, 0x9f);
    expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
  }));
}

/** LCR, and how many bit times its frame takes (8.1). */
const frames: readonly [string, number, number][] = [
  ["5N1", 0x00, 7], ["5N1.5", 0x04, 7.5], ["6N1", 0x01, 8], ["7E1", 0x1a, 10], ["8N1", 0x03, 10], ["8N2", 0x07, 11], ["8O1", 0x0b, 11],
  ["8O2", 0x0f, 12],
];

function transmitterTests(factory: BenchFactory, on: OnUart): void {
  const instant = factory.differences.has("uart-transmit-instant");

  test("sends what is written, in order", on(async (uart, bench) => {
    await uart.configure();
    for (const byte of [0x48, 0x00, 0xff]) {
      await uart.set(reg.data, byte);
      await uart.characters(1.1);
      expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
    }
    expect([...(await bench.takeFromPort())]).toEqual([0x48, 0x00, 0xff]);
  }));

  test("sends sixteen characters and one from a full FIFO", on(async (uart, bench) => {
    await uart.configure({ fcr: 0x01 });
    const bytes = Array.from({ length: 17 }, (_, at) => at + 0x30);
    for (const byte of bytes) await uart.set(reg.data, byte);
    await uart.characters(17.5);
    expect([...(await bench.takeFromPort())]).toEqual(bytes);
    expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
  }));

  test.each(frames)(`takes the time of its frame${differs(factory, "uart-transmit-instant")}: %s`, (_name, format, bits) =>
    on(async (uart, bench) => {
      await uart.configure({ divisor: 12, format, bits });
      await uart.set(reg.data, 0x15);
      await bench.advanceMicros((bits - 0.25) * 12 * bitMicros);
      expect(await uart.get(reg.lsr)).toBe(instant ? lsr.holdingEmpty | lsr.empty : lsr.holdingEmpty);
      expect([...(await bench.takeFromPort())]).toEqual(instant ? [0x15] : []);
      await bench.advanceMicros(0.5 * 12 * bitMicros);
      expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
      expect([...(await bench.takeFromPort())]).toEqual(instant ? [] : [0x15]);
    })());

  test.each([1, 3, 96, 0x1234])(`takes the time of its divisor${differs(factory, "uart-transmit-instant")}: %i`, (divisor) =>
    on(async (uart, bench) => {
      await uart.configure({ divisor });
      await uart.set(reg.data, 0x55);
      await uart.characters(0.95);
      expect((await bench.takeFromPort()).length).toBe(instant ? 1 : 0);
      await uart.characters(0.1);
      expect((await bench.takeFromPort()).length).toBe(instant ? 0 : 1);
    })());

  test(`THRE is clear while a character waits behind another${differs(factory, "uart-transmit-instant")}`, on(async (uart, bench) => {
    await uart.configure();
    await uart.set(reg.data, 1);
    await uart.set(reg.data, 2);
    expect(await uart.get(reg.lsr)).toBe(instant ? lsr.holdingEmpty | lsr.empty : 0);
    await uart.characters(1.1);
    expect(await uart.get(reg.lsr)).toBe(instant ? lsr.holdingEmpty | lsr.empty : lsr.holdingEmpty);
    await uart.characters(1);
    expect([...(await bench.takeFromPort())]).toEqual([1, 2]);
  }));

  const note = differs(factory, "uart-transmit-instant");
  test(`clearing the FIFO drops what waits and finishes what is being sent (8.5)${note}`, on(async (uart, bench) => {
    await uart.configure({ fcr: 0x01 });
    for (const byte of [1, 2, 3, 4]) await uart.set(reg.data, byte);
    await uart.set(reg.fcr, 0x05);
    expect(await uart.get(reg.lsr)).toBe(instant ? lsr.holdingEmpty | lsr.empty : lsr.holdingEmpty);
    await uart.characters(5);
    expect([...(await bench.takeFromPort())]).toEqual(instant ? [1, 2, 3, 4] : [1]);
  }));

  test(`sends only the bits of its word length${differs(factory, "uart-eight-bits")}`, on(async (uart, bench) => {
    await uart.configure({ format: 0x02, bits: 9 });
    await uart.set(reg.data, 0xc1);
    await uart.characters(1.1);
    expect([...(await bench.takeFromPort())]).toEqual([factory.differences.has("uart-eight-bits") ? 0xc1 : 0x41]);
  }));
}

function emptyInterruptTests(factory: BenchFactory, on: OnUart): void {
  test("comes when it is enabled while the holding register is empty (8.4, bit 5)", on(async (uart) => {
    await uart.configure();
    expect(await uart.pin()).toBe(false);
    await uart.set(reg.ier, ier.empty);
    expect(await uart.pin()).toBe(true);
    expect(await uart.get(reg.iir)).toBe(iir.empty);
  }));

  test("goes away when IIR names it, and comes again only for a new reason (table IV)", on(async (uart) => {
    await uart.configure();
    await uart.set(reg.ier, ier.empty);
    expect(await uart.get(reg.iir)).toBe(iir.empty);
    expect(await uart.pin()).toBe(false);
    expect(await uart.get(reg.iir)).toBe(iir.none);
    await uart.characters(20);
    expect(await uart.get(reg.iir)).toBe(iir.none);
    expect(await uart.get(reg.lsr)).toBe(lsr.holdingEmpty | lsr.empty);
    await uart.set(reg.ier, 0);
    await uart.set(reg.ier, ier.empty);
    expect(await uart.get(reg.iir)).toBe(iir.empty);
  }));

  test.each([0x00, 0x01])("comes again when what was written has moved on (FCR %i)", (fcr) =>
    on(async (uart) => {
      await uart.configure({ fcr });
      await uart.set(reg.ier, ier.empty);
      await uart.get(reg.iir);
      for (let round = 0; round < 3; round++) {
        await uart.set(reg.data, 0x41);
        await uart.characters(2);
        expect(await uart.pin()).toBe(true);
        expect((await uart.get(reg.iir)) & 0x0f).toBe(iir.empty);
        expect(await uart.pin()).toBe(false);
      }
    })());

  test("does not go away by reading line status", on(async (uart) => {
    await uart.configure();
    await uart.set(reg.ier, ier.empty);
    await uart.get(reg.lsr);
    expect(await uart.pin()).toBe(true);
    await uart.set(reg.ier, 0);
    expect(await uart.pin()).toBe(false);
  }));

  const prompt = factory.differences.has("uart-prompt-empty");
  test(`with FIFOs, waits for a single character to be nearly sent (8.11)${differs(factory, "uart-prompt-empty")}`, on(async (uart) => {
    await uart.configure({ fcr: 0x01 });
    await uart.set(reg.data, 0x41);
    await uart.characters(1.1);
    await uart.set(reg.ier, ier.empty);
    await uart.get(reg.iir);
    // Not the first since the FIFOs were switched on, and never two characters at once.
    await uart.set(reg.data, 0x42);
    await uart.characters(0.85);
    expect(await uart.pin()).toBe(prompt);
    await uart.characters(0.1);
    expect(await uart.pin()).toBe(true);
    expect((await uart.get(reg.lsr)) & lsr.holdingEmpty).toBe(lsr.holdingEmpty);
  }));

  test(`with FIFOs, comes promptly when two characters were waiting (8.11)${differs(factory, "uart-prompt-empty")}`, on(async (uart) => {
    await uart.configure({ fcr: 0x01 });
    await uart.set(reg.data, 0x41);
    await uart.characters(1.1);
    await uart.set(reg.ier, ier.empty);
    await uart.get(reg.iir);
    for (const byte of [0x42, 0x43, 0x44]) await uart.set(reg.data, byte);
    await uart.characters(1.9);
    expect(await uart.pin()).toBe(prompt);
    await uart.characters(0.2);
    expect(await uart.pin()).toBe(true);
  }));

  const ungated = factory.differences.has("uart-out2-does-not-gate");
  test(`reaches the pin only through OUT2, as on a PC${differs(factory, "uart-out2-does-not-gate")}`, on(async (uart) => {
    await uart.configure({ modem: 0 });
    await uart.set(reg.ier, ier.empty);
    expect(await uart.pin()).toBe(ungated);
    await uart.set(reg.mcr, mcr.out2);
    expect(await uart.pin()).toBe(true);
    await uart.set(reg.mcr, mcr.out2 | mcr.loop);
    expect(await uart.pin()).toBe(ungated);
    expect(await uart.get(reg.iir)).toBe(iir.empty);
  }));
}

function modemTests(factory: BenchFactory, on: OnUart): void {
  test("loopback returns characters and sends none (8.8, bit 4)", on(async (uart, bench) => {
    await uart.configure({ modem: mcr.loop });
    await uart.loop([0x5a]);
    expect(await uart.drain()).toEqual([0x5a]);
    await uart.loop([0xa5]);
    expect(await uart.drain()).toEqual([0xa5]);
    expect([...(await bench.takeFromPort())]).toEqual([]);
  }));

  test("loopback returns sixteen characters through both FIFOs", on(async (uart) => {
    await uart.configure({ modem: mcr.loop, fcr: 0x01 });
    const bytes = Array.from({ length: 16 }, (_, at) => 0xf0 - at);
    for (const byte of bytes) await uart.set(reg.data, byte);
    await uart.characters(16.5);
    expect(await uart.drain()).toEqual(bytes);
  }));

  /** MCR output and the MSR input it becomes. */
  const wires: readonly [string, number, number][] = [
    ["DTR is DSR", mcr.dtr, 0x20], ["RTS is CTS", mcr.rts, 0x10], ["OUT1 is RI", mcr.out1, 0x40], ["OUT2 is DCD", mcr.out2, 0x80],
  ];
  test.each(wires)("in loopback %s", (_name, output, input) =>
    on(async (uart) => {
      await uart.configure({ modem: mcr.loop });
      expect((await uart.get(reg.msr)) & 0xf0).toBe(0);
      await uart.set(reg.mcr, mcr.loop | output);
      expect((await uart.get(reg.msr)) & 0xf0).toBe(input);
      await uart.set(reg.mcr, mcr.loop);
      expect((await uart.get(reg.msr)) & 0xf0).toBe(0);
    })());

  const noDeltas = factory.differences.has("uart-loopback-no-deltas");
  const note = differs(factory, "uart-loopback-no-deltas");
  test(`changes set delta bits until MSR is read; RI only its trailing edge (8.9)${note}`, on(async (uart) => {
    await uart.configure({ modem: mcr.loop });
    await uart.get(reg.msr);
    await uart.set(reg.mcr, mcr.loop | 0x0f);
    expect(await uart.get(reg.msr)).toBe(noDeltas ? 0xf0 : 0xfb);
    expect(await uart.get(reg.msr)).toBe(0xf0);
    await uart.set(reg.mcr, mcr.loop);
    expect(await uart.get(reg.msr)).toBe(noDeltas ? 0x00 : 0x0f);
    expect(await uart.get(reg.msr)).toBe(0x00);
  }));

  test(`a change of a modem input interrupts until MSR is read${differs(factory, "uart-loopback-no-deltas")}`, on(async (uart) => {
    await uart.configure({ modem: mcr.loop });
    await uart.get(reg.msr);
    await uart.set(reg.ier, ier.modem);
    expect(await uart.get(reg.iir)).toBe(iir.none);
    await uart.set(reg.mcr, mcr.loop | mcr.rts);
    expect(await uart.get(reg.iir)).toBe(noDeltas ? iir.none : iir.modem);
    expect(await uart.get(reg.iir)).toBe(noDeltas ? iir.none : iir.modem);
    await uart.get(reg.msr);
    expect(await uart.get(reg.iir)).toBe(iir.none);
  }));
}

/** What needs a far end with modem lines. */
function wireTests(on: OnUart): void {
  test("the far end's modem lines are seen, and interrupt through the pin", on(async (uart, bench) => {
    await uart.configure();
    await bench.setModemInputs!({ cts: false, dsr: false, ri: false, dcd: false });
    await uart.get(reg.msr);
    await uart.set(reg.ier, ier.modem);
    await bench.setModemInputs!({ cts: true, dsr: false, ri: true, dcd: true });
    expect(await uart.pin()).toBe(true);
    expect(await uart.get(reg.msr)).toBe(0xd9);
    expect(await uart.pin()).toBe(false);
    await bench.setModemInputs!({ cts: true, dsr: true, ri: false, dcd: true });
    expect(await uart.get(reg.msr)).toBe(0xb6);
  }));

  test("outputs and break reach the far end, but in loopback", on(async (uart, bench) => {
    await uart.configure({ modem: mcr.dtr });
    expect(await bench.outputs!()).toEqual({ dtr: true, rts: false, break: false });
    await uart.set(reg.mcr, mcr.rts);
    await uart.set(reg.lcr, format8n1 | 0x40);
    expect(await bench.outputs!()).toEqual({ dtr: false, rts: true, break: true });
    await uart.set(reg.mcr, mcr.loop | mcr.rts | mcr.dtr);
    expect(await bench.outputs!()).toEqual({ dtr: false, rts: false, break: false });
  }));
}

function priorityTests(on: OnUart): void {
  test("goes line status, received data, transmitter empty (table IV)", on(async (uart) => {
    await uart.configure({ modem: mcr.loop });
    await uart.get(reg.msr);
    await uart.loop([1, 2]);
    await uart.set(reg.ier, ier.received | ier.empty | ier.status);
    expect(await uart.get(reg.iir)).toBe(iir.status);
    expect(await uart.get(reg.iir)).toBe(iir.status);
    expect((await uart.get(reg.lsr)) & lsr.overrun).toBe(lsr.overrun);
    expect(await uart.get(reg.iir)).toBe(iir.received);
    expect(await uart.get(reg.data)).toBe(2);
    expect(await uart.get(reg.iir)).toBe(iir.empty);
    expect(await uart.get(reg.iir)).toBe(iir.none);
  }));

  test("reading IIR clears the transmitter's interrupt only when it is the one named", on(async (uart) => {
    await uart.configure({ modem: mcr.loop });
    await uart.loop([7]);
    await uart.set(reg.ier, ier.received | ier.empty);
    for (let at = 0; at < 3; at++) expect(await uart.get(reg.iir)).toBe(iir.received);
    await uart.get(reg.data);
    expect(await uart.get(reg.iir)).toBe(iir.empty);
  }));
}
