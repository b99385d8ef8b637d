/** The 16550A driver on the simulated chip: both directions, line status, signals, and what a predecessor left behind. */
import { VirtualClock, startDriver } from "airlock/driver-testing";
import { describe, expect, test } from "vitest";
import type { SerialLine, SerialOutputs } from "../../runtime/bus/device.ts";
import model from "../../runtime/models/uart-16550.ts";
import driver from "./driver.ts";
import { Lcr, Offset } from "./registers.ts";
import { levelPin, modelEnvironment } from "../../test/fixtures/model-environment.ts";

const fast = { baudRate: 115_200, dataBits: 8, parity: "none", stopBits: 1 } as const;
const text = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index & 0xff);

/** The chip with a far end that writes down what it gets. */
function chip() {
  const clock = new VirtualClock();
  let level = false;
  let pin = (_asserted: boolean): void => undefined;
  let line!: SerialLine;
  const sent: number[] = [];
  let outputs: SerialOutputs = { dtr: false, rts: false, break: false };
  const live = model.create(
    { name: "com1", compatible: ["uart-16550"], windows: {}, irqs: { line: 4 }, options: {} },
    modelEnvironment({
      clock, irq: () => levelPin((asserted) => { level = asserted; pin(asserted); }),
      serial: { connect: (port) => { line = port; }, receive: (byte) => { sent.push(byte); }, outputs: (signals) => { outputs = signals; } },
    }),
  );
  const space = live.spaces["regs"]!;
  const run = async () => {
    const running = await startDriver(driver, { clock, windows: { regs: { sizeBytes: 8, space } }, irqs: ["line"] });
    pin = (asserted) => running.setIrq("line", asserted);
    running.setIrq("line", level);
    await running.call("configure", fast);
    return running;
  };
  /** What a teardown does to a driver's device, then some time without any driver. */
  const teardown = (awayMs: number): void => {
    pin = () => undefined;
    space.write(Offset.interruptEnable, 8, 0);
    space.write(Offset.modemControl, 8, 0);
    clock.advance(awayMs * 1000);
  };
  return { run, teardown, space, sent, line, clock, outputs: () => outputs };
}

const received = (events: readonly { name: string; payload: object }[]): number[] =>
  events.flatMap(({ payload }) => ("data" in payload ? [...(payload.data as Uint8Array)] : []));

describe("transmit", () => {
  test.each([1, 16, 17, 64])("hands over %i bytes in order", async (length) => {
    const { run, sent } = chip();
    const running = await run();
    expect(await running.call("transmit", { data: text(length) })).toEqual({ sent: length });
    await running.advance(10);
    expect(sent).toEqual([...text(length)]);
  });

  test("keeps the line busy from chunk to chunk", async () => {
    const { run, sent, clock } = chip();
    const running = await run();
    const start = clock.nowMicros();
    for (let chunk = 0; chunk < 20; chunk++) await running.call("transmit", { data: text(64) });
    await running.advance(2);
    expect(sent).toHaveLength(1280);
    // 1280 characters of 10 bits at 115200 baud take 111 ms.
    expect(clock.nowMicros() - start).toBeLessThan(116_000);
  });

  test("costs one read and its bytes when the FIFO is empty", async () => {
    const { run } = chip();
    const running = await run();
    const { reads, writes } = running.accesses;
    await running.call("transmit", { data: text(16) });
    expect([running.accesses.reads - reads, running.accesses.writes - writes]).toEqual([1, 16]);
  });
});

describe("receiving", () => {
  test("tells every byte once, in order, whatever their number", async () => {
    const { run, line } = chip();
    const running = await run();
    for (const length of [1, 7, 8, 9, 100]) {
      line.send(text(length));
      await running.advance(30);
      expect(received(running.takeEvents())).toEqual([...text(length)]);
    }
  });

  test("costs little more than a read per byte in a stream", async () => {
    const { run, line } = chip();
    const running = await run();
    const { reads } = running.accesses;
    line.send(text(800));
    await running.advance(100);
    expect(received(running.takeEvents())).toHaveLength(800);
    expect(running.accesses.reads - reads).toBeLessThan(800 * 1.6);
  });

  test("goes on while sending", async () => {
    const { run, line, sent } = chip();
    const running = await run();
    line.send(text(200));
    await running.call("transmit", { data: text(64) });
    await running.advance(30);
    expect(received(running.takeEvents())).toEqual([...text(200)]);
    expect(sent).toEqual([...text(64)]);
  });

  test("tells of breaks, framing and parity errors", async () => {
    const { run, line } = chip();
    const running = await run();
    await running.call("configure", { ...fast, parity: "even" });
    for (const kind of ["break", "framing", "parity"] as const) {
      line.disturb(kind);
      line.send(Uint8Array.of(0x55));
      await running.advance(10);
      const status = running.takeEvents().filter(({ name }) => name === "lineStatus");
      expect([kind, status.length]).toEqual([kind, 1]);
      expect(status[0]!.payload).toEqual({
        overruns: 0, breaks: kind === "break" ? 1 : 0, framing: kind === "framing" ? 1 : 0, parity: kind === "parity" ? 1 : 0,
      });
    }
  });
});

describe("settings and signals", () => {
  test("the divisor gives the rate that is told", async () => {
    const running = await chip().run();
    expect(await running.call("configure", { ...fast, baudRate: 9600 })).toEqual({ actualBaudRate: 9600 });
    expect(await running.call("configure", { ...fast, baudRate: 100_000 })).toEqual({ actualBaudRate: 115_200 });
    expect(await running.call("configure", { ...fast, baudRate: 50 })).toEqual({ actualBaudRate: 50 });
  });

  test("new settings wait for what is being sent", async () => {
    const { run, sent } = chip();
    const running = await run();
    await running.call("configure", { ...fast, baudRate: 1200 });
    await running.call("transmit", { data: text(16) });
    await running.call("configure", fast);
    expect(sent).toEqual([...text(16)]);
  });

  test("outputs are driven", async () => {
    const { run, outputs } = chip();
    const running = await run();
    expect(outputs()).toEqual({ dtr: false, rts: false, break: false });
    await running.call("setSignals", { dtr: true, rts: true, break: true });
    expect(outputs()).toEqual({ dtr: true, rts: true, break: true });
    await running.call("setSignals", { dtr: true, rts: false, break: false });
    expect(outputs()).toEqual({ dtr: true, rts: false, break: false });
  });

  test("inputs are read, and a change is told", async () => {
    const { run, line } = chip();
    const running = await run();
    running.takeEvents();
    line.inputs({ cts: true, dsr: true, ri: false, dcd: true });
    await running.advance(1);
    const signals = { cts: true, dsr: true, ri: false, dcd: true };
    expect(running.takeEvents()).toEqual([{ name: "signals", payload: signals }]);
    expect(await running.call("getSignals", {})).toEqual(signals);
  });
});

describe("a predecessor that died", () => {
  test("leaves received bytes to the next driver, and an overrun is told", async () => {
    const { run, line, teardown } = chip();
    await run();
    line.send(text(20));
    teardown(5);
    const second = await run();
    await second.advance(5);
    const events = second.takeEvents();
    expect(received(events)).toEqual([...text(16)]);
    expect(events.find(({ name }) => name === "lineStatus")?.payload).toMatchObject({ overruns: 1 });
  });

  test("in the middle of configure does not leave the divisor latch open", async () => {
    const { run, space, sent } = chip();
    space.write(Offset.lineControl, 8, Lcr.divisorLatch | 0x03);
    const running = await run();
    await running.call("transmit", { data: text(3) });
    await running.advance(1);
    expect(sent).toEqual([0, 1, 2]);
  });

  test("has what it sent go out", async () => {
    const { run, sent, teardown } = chip();
    const first = await run();
    await first.call("transmit", { data: text(16) });
    teardown(0);
    const second = await run();
    await second.advance(5);
    expect(sent).toEqual([...text(16)]);
  });
});
