/** What an 82540EM cannot reach: memory outside of its IOMMU domain, whatever its descriptors say. Asserted on fault records and on memory. */
import { expect, test } from "vitest";
import type { DmaFault } from "../../../runtime/bus/iommu.ts";
import { type DmaBenchFactory, type DmaBlock, type DmaDeviceBench, dmaDiffers } from "./dma-bench.ts";
import { type Nic, type OnNic, cmd, descriptorBytes, makeFrame, otherMac, reg, rxStatus } from "./e1000-rig.ts";

const whole = cmd.eop | cmd.ifcs | cmd.rs;
const secret = 0xa9;
const pageBytes = 4_096;

export function isolationTests(factory: DmaBenchFactory, on: OnNic): void {
  transmitTests(factory, on);
  receiveTests(on);
}

/** The faults of the device until there is one, each inside `where` and of this direction. */
async function faultsIn(bench: DmaDeviceBench, where: DmaBlock, direction: DmaFault["direction"]): Promise<void> {
  const faults: DmaFault[] = [];
  await bench.until(async () => {
    faults.push(...(await bench.takeFaults()));
    return faults.length > 0;
  }, `a blocked ${direction} is reported`);
  for (const fault of faults) {
    expect(fault.direction).toBe(direction);
    expect(fault.iova).toBeGreaterThanOrEqual(where.iova);
    expect(fault.iova).toBeLessThan(where.iova + where.sizeBytes);
  }
}

/** Memory full of a pattern that the device must not see, and that no one may change. */
async function secretBlock(bench: DmaDeviceBench, sizeBytes: number): Promise<DmaBlock> {
  const block = await bench.allocate(sizeBytes);
  await bench.writeMemory(block.iova, new Uint8Array(block.sizeBytes).fill(secret));
  return block;
}

async function isUntouched(bench: DmaDeviceBench, { iova, sizeBytes }: DmaBlock): Promise<boolean> {
  return (await bench.readMemory(iova, sizeBytes)).every((byte) => byte === secret);
}

/** Frames that went out and show the secret: eight bytes of it in a row. */
async function leaks(nic: Nic): Promise<readonly Uint8Array[]> {
  await nic.settle();
  const shows = (frame: Uint8Array): boolean => frame.reduce((run, byte) => (run >= 8 ? run : byte === secret ? run + 1 : 0), 0) >= 8;
  return (await nic.bench.takeFromDevice!()).filter(shows);
}

async function pointBuffer(nic: Nic, index: number, iova: number): Promise<void> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(iova), true);
  await nic.bench.writeMemory(nic.rxRing.iova + index * descriptorBytes, bytes);
}

function transmitTests(factory: DmaBenchFactory, on: OnNic): void {
  test("a frame's bytes outside of the domain are not sent", on(async (nic, bench) => {
    await nic.openTransmit();
    const block = await secretBlock(bench, pageBytes);
    await bench.unmap(block);
    await nic.queue([{ iova: block.iova, length: 500, command: whole }]);
    await nic.kick();
    await faultsIn(bench, block, "read");
    expect(await leaks(nic)).toEqual([]);
    const frame = makeFrame(100, 1, otherMac);
    await nic.transmit([frame]);
    expect(await nic.sent(1)).toEqual([frame]);
    expect(await bench.takeFaults()).toEqual([]);
  }));

  test("nor part of a frame that runs over an end", on(async (nic, bench) => {
    await nic.openTransmit();
    const block = await bench.allocate(pageBytes);
    await secretBlock(bench, pageBytes);
    await nic.queue([{ iova: block.iova + pageBytes - 100, length: 500, command: whole }]);
    await nic.kick();
    await faultsIn(bench, { iova: block.iova + pageBytes, sizeBytes: pageBytes }, "read");
    expect(await leaks(nic)).toEqual([]);
  }));

  test("a ring outside of the domain is not read", on(async (nic, bench) => {
    await nic.openTransmit();
    const frame = makeFrame(100, 1, otherMac);
    const tail = await nic.queue([{ iova: await nic.place(frame), length: frame.length, command: whole }]);
    await bench.unmap(nic.txRing);
    await nic.set(reg.tdt, tail);
    await faultsIn(bench, nic.txRing, "read");
    const sent = await bench.takeFromDevice!();
    expect(sent.some((bytes) => bytes.length >= 100 && bytes.subarray(14, 100).every((byte, at) => byte === frame[14 + at]))).toBe(false);
  }));

  const quiet = factory.differences.has("iommu-quiet-on-cached-rights");
  test(`status is not written to a ring mapped for reading${dmaDiffers(factory, "iommu-quiet-on-cached-rights")}`, on(async (nic, bench) => {
    await nic.openTransmit();
    const ring = await bench.allocate(pageBytes, "read");
    const frame = makeFrame(100, 1, otherMac);
    const bytes = new Uint8Array(descriptorBytes);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(await nic.place(frame)), true);
    view.setUint32(8, frame.length | (whole << 24), true);
    await bench.writeMemory(ring.iova, bytes);
    await nic.set(reg.tdbal, ring.iova);
    await nic.set(reg.tdt, 1);
    expect(await nic.sent(1)).toEqual([frame]);
    if (quiet) expect(await bench.takeFaults()).toEqual([]);
    else await faultsIn(bench, ring, "write");
    expect(await bench.readMemory(ring.iova, descriptorBytes)).toEqual(bytes);
  }));
}

function receiveTests(on: OnNic): void {
  test("a buffer outside of the domain is not written", on(async (nic, bench) => {
    await nic.openReceive();
    const block = await secretBlock(bench, pageBytes);
    await bench.unmap(block);
    await pointBuffer(nic, 0, block.iova);
    await nic.send(makeFrame(1_000, 1));
    await faultsIn(bench, block, "write");
    expect(await isUntouched(bench, block)).toBe(true);
    await nic.until(async () => (await nic.get(reg.rdh)) === 1, "the card goes on");
    await nic.receive();
    await nic.send(makeFrame(100, 2));
    expect((await nic.receive()).bytes).toEqual(makeFrame(100, 2));
  }));

  test("a buffer mapped for reading is not written", on(async (nic, bench) => {
    await nic.openReceive();
    const block = await bench.allocate(pageBytes, "read");
    await bench.writeMemory(block.iova, new Uint8Array(block.sizeBytes).fill(secret));
    await pointBuffer(nic, 0, block.iova);
    await nic.send(makeFrame(1_000, 1));
    await faultsIn(bench, block, "write");
    expect(await isUntouched(bench, block)).toBe(true);
  }));

  test("a frame that runs over the end of its memory reaches nobody else's", on(async (nic, bench) => {
    await nic.openReceive();
    const before = await secretBlock(bench, pageBytes);
    const block = await bench.allocate(pageBytes);
    const after = await secretBlock(bench, pageBytes);
    await pointBuffer(nic, 0, block.iova + pageBytes - 100);
    await nic.send(makeFrame(1_000, 1));
    await faultsIn(bench, { iova: block.iova + pageBytes, sizeBytes: pageBytes }, "write");
    expect(await isUntouched(bench, before)).toBe(true);
    expect(await isUntouched(bench, after)).toBe(true);
  }));

  test("a ring taken away stops reception, and nothing is written to it", on(async (nic, bench) => {
    await nic.openReceive({ count: 8 });
    await nic.send(makeFrame(100, 1));
    await nic.receive();
    const before = await bench.readMemory(nic.rxRing.iova, 8 * descriptorBytes);
    await bench.unmap(nic.rxRing);
    await nic.send(makeFrame(100, 2));
    await bench.until(async () => (await bench.takeFaults()).length > 0, "a blocked access to the ring is reported");
    expect(await bench.readMemory(nic.rxRing.iova, 8 * descriptorBytes)).toEqual(before);
    expect(before[12]! & rxStatus.dd).toBe(0);
  }));
}
