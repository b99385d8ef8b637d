/** The net class's conformance suite: any driver of the class whose far end sends frames of EtherType 0x88b5 back, with crashes. */
import { describe, expect, test } from "vitest";
import type { Clock } from "../../../runtime/api/clock.ts";
import type { LinkState, NetInterface, OpenInterface } from "../../../runtime/classes/net/interface.ts";
import { createWorkload } from "../../../runtime/classes/net/workload.ts";
import { type ClassBench, eventually, withBench } from "./bench.ts";

/** A machine whose far end sends frames back; the workload needs its clock. */
export interface NetBench extends ClassBench<OpenInterface> {
  readonly clock: Clock;
}

export interface NetBenchFactory {
  readonly name: string;
  open(): Promise<NetBench>;
}

/** Longest machine time for frames there and back, or for a link to be negotiated: real cards take 2 s. */
const waitMs = 10_000;
/** Frames that should not come would have come by then. */
const quietMs = 100;
/** The shadow's default: a recovery that takes longer is shown. */
const carrierLossMs = 500;
/** The least a frame has on the wire. */
const leastBytes = 60;

const elsewhere = [0x02, 0x00, 0x00, 0x00, 0x88, 0xb5];
const broadcast = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/** Cards find groups by a hash of their last bytes, which some compare for stations too: it shares them with no address here. */
const group = [0x01, 0x00, 0x5e, 0x05, 0x7a, 0xb7];

const bytesOf = (mac: string): number[] => mac.split(":").map((byte) => Number.parseInt(byte, 16));

/** A frame that comes back to `source`; every byte of its content depends on its number. */
function frame(source: readonly number[], number: number, sizeBytes = 64 + ((number * 37) % 1_400)): Uint8Array {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, index) => (number * 31 + index * 7 + (index >> 8)) & 0xff);
  bytes.set([...elsewhere, ...source, 0x88, 0xb5].slice(0, sizeBytes));
  if (sizeBytes >= 18) new DataView(bytes.buffer).setUint32(14, number);
  return bytes;
}

/** The same frame as it comes back. */
function reflected(sent: Uint8Array): Uint8Array {
  return Uint8Array.of(...sent.subarray(6, 12), ...sent.subarray(0, 6), ...sent.subarray(12));
}

/** The same choices in every run. */
function seeded(): () => number {
  let state = 7;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

const hex = (frames: readonly Uint8Array[]): string[] => frames.map((each) => Buffer.from(each).toString("hex"));

interface Opened {
  readonly net: NetInterface;
  readonly mac: readonly number[];
  /** Frames that came, others' traffic left out. */
  readonly came: Uint8Array[];
  readonly links: LinkState[];
  /** Sends all, however often there is no room. */
  send(frames: readonly Uint8Array[]): Promise<void>;
}

async function openInterface(bench: NetBench): Promise<Opened> {
  const came: Uint8Array[] = [];
  const links: LinkState[] = [];
  let ended: Error | undefined;
  const net = bench.client({
    received: (frames) => { for (const each of frames) if (each[12] === 0x88 && each[13] === 0xb5) came.push(each); },
    room: () => undefined,
    link: (state) => void links.push(state),
    ended: (reason) => { ended = reason; },
  });
  const opened: Opened = {
    net, came, links, mac: bytesOf((await soon(bench, net.identity())).mac),
    send: async (frames) => {
      let rest = frames;
      expect(await eventually(bench, () => {
        rest = rest.slice(net.send(rest));
        return rest.length === 0 || ended !== undefined;
      }, waitMs, 1)).toBe(true);
      expect(ended).toBeUndefined();
    },
  };
  expect(await eventually(bench, () => net.link.up, waitMs)).toBe(true);
  return opened;
}

/** A promise's value, while machine time passes. */
async function soon<T>(bench: NetBench, promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => { settled = true; };
  promise.then(mark, mark);
  expect(await eventually(bench, () => settled, waitMs, 1)).toBe(true);
  return promise;
}

/** Sends these frames and waits until as many have come. */
async function there(bench: NetBench, { send, came }: Opened, frames: readonly Uint8Array[]): Promise<Uint8Array[]> {
  came.length = 0;
  await send(frames);
  await eventually(bench, () => came.length >= frames.length, waitMs, 2);
  return came;
}

/** Whether frames from that address find their way back. */
async function comesBack(bench: NetBench, opened: Opened, source: readonly number[]): Promise<boolean> {
  opened.came.length = 0;
  await opened.send([frame(source, 1), frame(source, 2)]);
  return eventually(bench, () => opened.came.length === 2, quietMs, 5);
}

/** The same for some that shall: sent again and again, because cards may lose what comes while their filters change. */
async function passes(bench: NetBench, opened: Opened, source: readonly number[]): Promise<boolean> {
  for (let spentMs = 0; spentMs < waitMs; spentMs += quietMs) if (await comesBack(bench, opened, source)) return true;
  return false;
}

function withNet(factory: NetBenchFactory, body: (bench: NetBench) => Promise<void>): Promise<void> {
  return withBench(factory, (bench) => body(bench as NetBench));
}

export function netSuite(factory: NetBenchFactory): void {
  const run = (body: (bench: NetBench, opened: Opened) => Promise<void>) => () =>
    withNet(factory, async (bench) => body(bench, await openInterface(bench)));

  describe(`net class: ${factory.name}`, () => {
    test("the device has an address of a station and takes a usual MTU", run(async (bench, { net, mac }) => {
      expect(mac[0]! & 1).toBe(0);
      expect((await soon(bench, net.identity())).maxMtu).toBeGreaterThanOrEqual(1_500);
      expect(net.link.speedMbps).toBeGreaterThan(0);
    }));

    test("frames of every size come back as they went out", run(async (bench, opened) => {
      const sizes = [60, 61, 63, 64, 65, 127, 128, 255, 256, 1_023, 1_024, 1_513, 1_514];
      const sent = sizes.map((sizeBytes, number) => frame(opened.mac, number, sizeBytes));
      expect(hex(await there(bench, opened, sent))).toEqual(hex(sent.map(reflected)));
    }));

    test("frames that are too short for the wire are padded with zeroes", run(async (bench, opened) => {
      const sent = [14, 20, 46, 59].map((sizeBytes, number) => frame(opened.mac, number, sizeBytes));
      const padded = sent.map((each) => reflected(Uint8Array.from({ length: leastBytes }, (_, index) => each[index] ?? 0)));
      expect(hex(await there(bench, opened, sent))).toEqual(hex(padded));
    }));

    test("many frames come back in order, none missing", run(async (bench, opened) => {
      for (let round = 0; round < 40; round++) {
        const sent = Array.from({ length: 32 }, (_, index) => frame(opened.mac, round * 32 + index));
        expect(hex(await there(bench, opened, sent))).toEqual(hex(sent.map(reflected)));
      }
      expect(opened.net.counters).toMatchObject({ sent: 1_280, dropped: 0, refused: 0, sentAgain: 0 });
    }));

    test("the card takes what is for it or for all, and the rest when it is told to", run(async (bench, opened) => {
      const { net } = opened;
      expect(await passes(bench, opened, broadcast)).toBe(true);
      expect(await comesBack(bench, opened, elsewhere)).toBe(false);
      expect(await comesBack(bench, opened, group)).toBe(false);
      await soon(bench, net.configure({ multicast: ["01:00:5e:05:7a:b7"] }));
      expect(await passes(bench, opened, group)).toBe(true);
      await soon(bench, net.configure({ multicast: [] }));
      expect(await comesBack(bench, opened, group)).toBe(false);
      await soon(bench, net.configure({ allMulticast: true }));
      expect(await passes(bench, opened, group)).toBe(true);
      expect(await comesBack(bench, opened, elsewhere)).toBe(false);
      await soon(bench, net.configure({ promiscuous: true }));
      expect(await passes(bench, opened, elsewhere)).toBe(true);
    }));

    test("another address can be used, and given up again", run(async (bench, opened) => {
      const other = [0x02, 0x10, 0x20, 0x30, 0x40, 0x50];
      expect(await comesBack(bench, opened, other)).toBe(false);
      await soon(bench, opened.net.configure({ mac: "02:10:20:30:40:50" }));
      expect(await passes(bench, opened, other)).toBe(true);
      expect(await comesBack(bench, opened, opened.mac)).toBe(false);
    }));

    test("filters and address come back after a crash", run(async (bench, opened) => {
      await soon(bench, opened.net.configure({ mac: "02:10:20:30:40:50", multicast: ["01:00:5e:05:7a:b7"] }));
      await bench.crash();
      expect(await passes(bench, opened, [0x02, 0x10, 0x20, 0x30, 0x40, 0x50])).toBe(true);
      expect(await passes(bench, opened, group)).toBe(true);
      expect(await comesBack(bench, opened, opened.mac)).toBe(false);
    }));

    test("an interface that is down passes nothing, and works again when it is up", run(async (bench, opened) => {
      await soon(bench, opened.net.configure({ up: false }));
      expect(await comesBack(bench, opened, opened.mac)).toBe(false);
      await soon(bench, opened.net.configure({ up: true }));
      expect(await eventually(bench, () => opened.net.link.up, waitMs)).toBe(true);
      expect(await passes(bench, opened, opened.mac)).toBe(true);
    }));

    test("through crashes no frame is changed, and none is missing that no crash explains", () => withNet(factory, async (bench) => {
      const workload = await soon(bench, createWorkload(bench.client, { clock: bench.clock, random: seeded() }));
      for (let round = 0; round < 5; round++) {
        for (let step = 0; step < 8; step++) await soon(bench, workload.step());
        await bench.crash();
      }
      const { operations } = workload.totals;
      for (let step = 0; step < 200 && workload.totals.operations < operations + 100; step++) await soon(bench, workload.step());
      expect(workload.errors).toEqual([]);
      expect(workload.totals).toMatchObject({ clientErrors: 0, bytesCorrupted: 0 });
      expect(workload.totals.operations).toBeGreaterThan(operations + 99);
      await soon(bench, workload.close());
    }));

    test("a crash is not seen on the link, and what was sent before is not forgotten", run(async (bench, opened) => {
      const { net, links, send, came, mac } = opened;
      await bench.advance(1);
      links.length = 0;
      came.length = 0;
      const startMicros = bench.clock.nowMicros();
      const crashed = bench.crash();
      await send(Array.from({ length: 20 }, (_, number) => frame(mac, number)));
      await crashed;
      expect(await eventually(bench, () => came.length >= 20, waitMs, 2)).toBe(true);
      const tookMs = (bench.clock.nowMicros() - startMicros) / 1_000;
      // On a machine that is too busy to recover in time the carrier may be seen to go; it is back by now.
      expect(tookMs < carrierLossMs ? links : []).toEqual([]);
      expect([net.link.up, net.counters.drivers >= 2]).toEqual([true, true]);
    }));

    test("closing ends it; it can be opened again, with nothing left of before", run(async (bench, { net, mac }) => {
      await soon(bench, net.configure({ promiscuous: true }));
      net.close();
      expect(net.send([frame(mac, 1)])).toBe(0);
      const again = await openInterface(bench);
      expect(await passes(bench, again, mac)).toBe(true);
      expect(await comesBack(bench, again, elsewhere)).toBe(false);
    }));
  });
}
