/** The e1000 driver on our card and on QEMU's: the same frames, the same filters, the same link. */
import { describe, expect, test } from "vitest";
import { startDriver } from "../../../runtime/api/testing.ts";
import { TransmitStatus } from "../../../runtime/classes/net/contract.ts";
import e1000 from "../../../runtime/models/e1000.ts";
import driver from "../../../drivers/e1000/driver.ts";
import manifest from "../../../drivers/e1000/driver.json" with { type: "json" };
import { type DmaBenchFactory, type DmaDeviceBench, withDmaBench } from "../devices/dma-bench.ts";
import { differsAt, pattern } from "../devices/nvme-rig.ts";
import { qemuDmaBench } from "../devices/qemu-dma-bench.ts";
import { simDmaBench } from "../devices/sim-dma-bench.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { driverHardware } from "./driver-bench.ts";

const windowBytes = manifest.needs.windows.bar0.sizeBytes;
const queuesBytes = 32 * 1_024;
const slotBytes = 2_048;
const settings = { up: true, promiscuous: false, allMulticast: false, mtu: 1500, mac: 0, multicast: new Uint8Array(0) };
const own = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const other = [0x52, 0x54, 0x00, 0x99, 0x99, 0x99];
const group = [0x01, 0x00, 0x5e, 0x01, 0x02, 0x03];
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

function frameTo(address: readonly number[], sizeBytes: number, seed: number): Uint8Array {
  const frame = pattern(sizeBytes, seed);
  frame.set(address);
  return frame;
}

async function start(bench: DmaDeviceBench) {
  const { hardware, look } = await driverHardware(bench, { windowBytes, queuesBytes, irq: "intx" });
  const running = await startDriver(driver, hardware);
  const out = await bench.allocate(256 * slotBytes);
  const into = await bench.allocate(256 * slotBytes);
  const step = async (): Promise<void> => {
    look();
    await running.advance(0.1);
  };
  const post = (...tags: number[]): Promise<void> =>
    running.submit("receive", ...tags.map((tag) => [tag, slotBytes, into.iova + tag * slotBytes, 0]));
  /** Gives frames to the driver and waits until all are completed. */
  const send = async (...frames: Uint8Array[]): Promise<number[][]> => {
    for (const [tag, frame] of frames.entries()) await bench.writeMemory(out.iova + tag * slotBytes, frame);
    await running.submit("transmit", ...frames.map((frame, tag) => [tag, frame.length, out.iova + tag * slotBytes, 0]));
    const done: number[][] = [];
    await bench.until(async () => {
      await step();
      done.push(...running.takeCompletions("transmit"));
      return done.length === frames.length;
    }, "all frames are completed");
    return done;
  };
  /** Puts frames on the wire, and waits for `count` of them; returns them in the order of their completions. */
  const receive = async (frames: readonly Uint8Array[], count: number): Promise<Uint8Array[]> => {
    const received: Uint8Array[] = [];
    for (const frame of frames) await bench.sendToDevice!(frame);
    await bench.until(async () => {
      await step();
      for (const [tag, sizeBytes] of running.takeCompletions("receive")) {
        received.push((await bench.readMemory(into.iova + tag! * slotBytes, sizeBytes!)).slice());
        await post(tag!);
      }
      return received.length >= count;
    }, `${count} frames are received`);
    return received;
  };
  /** QEMU's card takes no frames for a second of its time after its receiver was switched. */
  const configure = async (change: object = {}): Promise<void> => {
    await running.call("configure", { ...settings, ...change });
    await bench.advanceMicros(1_100_000);
    await step();
  };
  return { running, post, send, receive, configure };
}

function suite(factory: DmaBenchFactory): void {
  describe(`on ${factory.platform}`, () => {
    test("tells what the card is", () => withDmaBench(factory, async (bench) => {
      const { running } = await start(bench);
      expect(await running.call("identify", {})).toEqual({ mac: 0x525400123456, maxMtu: 9216, transmitDepth: 255, receiveDepth: 255 });
      expect(await running.call("getLink", {})).toEqual({ up: true, speedMbps: 1000, fullDuplex: true });
    }));

    test("frames go out, past the end of the ring", () => withDmaBench(factory, async (bench) => {
      const { send, configure } = await start(bench);
      await configure();
      // No more at once: QEMU stands still while its socket is full, and who would empty it is in the thread that waits for QEMU.
      for (const count of [1, 100, 33, 100, 7, 100]) {
        const frames = upTo(count).map((n) => frameTo(other, 60 + ((n * 37) % 1_455), n));
        expect(await send(...frames)).toEqual(upTo(count).map((tag) => [tag, TransmitStatus.ok]));
        const sent: Uint8Array[] = [];
        await bench.until(async () => {
          sent.push(...(await bench.takeFromDevice!()));
          return sent.length >= count;
        }, "the frames are at the far end");
        expect(sent.map((frame, n) => differsAt(frame, frames[n]!))).toEqual(upTo(count).map(() => -1));
      }
    }));

    test("frames come in, past the end of the ring", () => withDmaBench(factory, async (bench) => {
      const { post, receive, configure } = await start(bench);
      await configure();
      await post(...upTo(100));
      for (let round = 0; round < 12; round++) {
        const frames = upTo(30).map((n) => frameTo(own, 60 + ((n * 97 + round) % 1_455), n + round));
        const received = await receive(frames, 30);
        expect(received.map((frame, n) => differsAt(frame, frames[n]!))).toEqual(upTo(30).map(() => -1));
      }
      expect(await bench.takeFaults()).toEqual([]);
    }));

    test("filters by address", () => withDmaBench(factory, async (bench) => {
      const { post, receive, configure } = await start(bench);
      await post(...upTo(64));
      const frames = [other, group, own].map((address, n) => frameTo(address, 100 + n, n));
      const sizes = async (change: object, count: number): Promise<number[]> => {
        await configure(change);
        return (await receive(frames, count)).map(({ length }) => length);
      };
      expect(await sizes({}, 1)).toEqual([102]);
      expect(await sizes({ promiscuous: true }, 3)).toEqual([100, 101, 102]);
      expect(await sizes({ allMulticast: true }, 2)).toEqual([101, 102]);
      expect(await sizes({ multicast: Uint8Array.from(group) }, 2)).toEqual([101, 102]);
      expect(await sizes({ mac: 0x525400999999 }, 1)).toEqual([100]);
    }));

    test("the link is told when it goes and comes, and frames come back without it", () => withDmaBench(factory, async (bench) => {
      const { running, send, configure } = await start(bench);
      await configure();
      running.takeEvents();
      const change = async (up: boolean): Promise<void> => {
        await bench.setCarrier!(up);
        await bench.until(async () => {
          await bench.advanceMicros(100_000);
          await running.advance(0.1);
          return (await running.call("getLink", {})).up === up;
        }, `the link is ${up ? "up" : "down"}`);
        expect(running.takeEvents().map(({ payload }) => payload)).toEqual([{ up, speedMbps: up ? 1000 : 0, fullDuplex: up }]);
      };
      await change(false);
      expect(await send(frameTo(other, 60, 1))).toEqual([[0, TransmitStatus.linkDown]]);
      await change(true);
      expect(await send(frameTo(other, 60, 1))).toEqual([[0, TransmitStatus.ok]]);
    }));

    test("a second driver takes the card over from one that died in the middle", () => withDmaBench(factory, async (bench) => {
      const first = await start(bench);
      await first.configure({ promiscuous: true });
      await first.post(...upTo(50));
      for (let round = 0; round < 3; round++) {
        const { running, send, receive, post, configure } = await start(bench);
        await configure();
        await post(...upTo(50));
        expect(await send(frameTo(other, 60, 1))).toEqual([[0, TransmitStatus.ok]]);
        const frame = frameTo(own, 999, round);
        expect(differsAt((await receive([frameTo(other, 100, 1), frame], 1))[0]!, frame)).toBe(-1);
        expect(running.takeEvents()).toEqual([]);
      }
    }));
  });
}

suite(simDmaBench(e1000));
describe.skipIf(!(await qemuAvailable()))("QEMU's", () => suite(qemuDmaBench("e1000", [], { mac: "52:54:00:12:34:56" })));
