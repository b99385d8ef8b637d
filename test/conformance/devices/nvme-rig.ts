/** Register-level helpers for tests of an NVMe controller on any bench. Source: NVM Express Base Specification 1.4. */
import type { DmaBenchFactory, DmaBlock, DmaDeviceBench } from "./dma-bench.ts";
import { withDmaBench } from "./dma-bench.ts";

/** Offsets in "bar0" (3.1). */
export const reg = { cap: 0x00, vs: 0x08, intms: 0x0c, intmc: 0x10, cc: 0x14, csts: 0x1c, aqa: 0x24, asq: 0x28, acq: 0x30, doorbells: 0x1000 } as const;

/** CC with the entry sizes that the specification asks for: 64 and 16 bytes (3.1.5). */
export const enabled = (6 << 16) | (4 << 20) | 1;

export const csts = { ready: 1, fatal: 2, shutdownMask: 0x0c, shutdownComplete: 0x08 } as const;

export const admin = {
  deleteSq: 0, createSq: 1, getLog: 2, deleteCq: 4, createCq: 5, identify: 6, abort: 8, setFeatures: 9, getFeatures: 10, asyncEvent: 12,
} as const;

export const nvm = { flush: 0, write: 1, read: 2, compare: 5, writeZeroes: 8, datasetManagement: 9 } as const;

/** Status code type and code, as in a completion's bits 27:17 (4.6.1). */
export const status = {
  success: 0, invalidOpcode: 0x01, invalidField: 0x02, dataTransferError: 0x04, aborted: 0x07, invalidNamespace: 0x0b, sequence: 0x0c, prpOffset: 0x13,
  lbaRange: 0x80, completionQueue: 0x100, queueId: 0x101, queueSize: 0x102, eventLimit: 0x105, vector: 0x108, logPage: 0x109, queueDeletion: 0x10c,
  compareFailure: 0x285,
} as const;

export const pageBytes = 4_096;
export const adminEntries = 32;

/** A submission queue entry; what is left out is zero. `dwords` are CDW10 and up. */
export interface Command {
  readonly opcode: number;
  readonly namespace?: number;
  readonly prp1?: number;
  readonly prp2?: number;
  readonly dwords?: readonly number[];
  /** Bits 15:8 of CDW0: fused and PSDT. */
  readonly flags?: number;
}

export interface Completion {
  readonly result: number;
  readonly head: number;
  readonly queue: number;
  readonly id: number;
  /** Type and code. */
  readonly status: number;
  readonly doNotRetry: boolean;
}

/** One submission queue and the completion queue it has for itself, as a driver sees them. */
export class QueuePair {
  readonly #nvme: Nvme;
  readonly id: number;
  readonly entries: number;
  readonly submission: DmaBlock;
  readonly completion: DmaBlock;
  #tail = 0;
  #head = 0;
  #phase = 1;
  #nextId = 1;

  constructor(nvme: Nvme, id: number, entries: number, submission: DmaBlock, completion: DmaBlock) {
    this.#nvme = nvme;
    this.id = id;
    this.entries = entries;
    this.submission = submission;
    this.completion = completion;
  }

  /** Puts a command into the queue without telling the controller. Returns its identifier. */
  async push(command: Command): Promise<number> {
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) & 0xffff;
    await this.#nvme.bench.writeMemory(this.submission.iova + this.#tail * 64, encode(command, id));
    this.#tail = (this.#tail + 1) % this.entries;
    return id;
  }

  /** Tells the controller where the queue ends. */
  async ring(): Promise<void> {
    await this.#nvme.doorbell(this.id * 2, this.#tail);
  }

  /** The next completion; undefined when there is none. It is consumed when `release` says so. */
  async poll(): Promise<Completion | undefined> {
    const view = new DataView((await this.#nvme.bench.readMemory(this.completion.iova + this.#head * 16, 16)).slice().buffer);
    const word = view.getUint32(12, true);
    if (((word >>> 16) & 1) !== this.#phase) return undefined;
    this.#head = (this.#head + 1) % this.entries;
    if (this.#head === 0) this.#phase ^= 1;
    return {
      result: view.getUint32(0, true), head: view.getUint16(8, true), queue: view.getUint16(10, true), id: word & 0xffff,
      status: (word >>> 17) & 0x7ff, doNotRetry: word >>> 31 === 1,
    };
  }

  /** Tells the controller which completions were consumed. */
  async release(): Promise<void> {
    await this.#nvme.doorbell(this.id * 2 + 1, this.#head);
  }

  /** Waits for so many completions, and tells the controller that they were consumed; with `release` false it does not. */
  async reap(count: number, release = true): Promise<Completion[]> {
    const found: Completion[] = [];
    await this.#nvme.bench.until(async () => {
      for (let one = await this.poll(); one !== undefined; one = found.length < count ? await this.poll() : undefined) found.push(one);
      return found.length >= count;
    }, `${count} completions in queue ${this.id}`);
    if (release) await this.release();
    return found;
  }

  /** One command from submission to completion. */
  async run(command: Command): Promise<Completion> {
    const id = await this.push(command);
    await this.ring();
    const [completion] = await this.reap(1);
    if (completion!.id !== id) throw new Error(`command ${id} of queue ${this.id} was answered as ${completion!.id}`);
    return completion!;
  }
}

/** A controller through its registers and the memory it shares. */
export class Nvme {
  readonly bench: DmaDeviceBench;
  /** CAP.DSTRD, CAP.MQES. */
  stride = 4;
  maxEntries = 0;
  admin!: QueuePair;
  /** Of namespace 1, after `start`. */
  blockBytes = 512;
  blocks = 0;
  /** Of the controller's identify data, after `start`. */
  controller!: DataView;
  namespace!: DataView;
  #buffer: DmaBlock | undefined;

  constructor(bench: DmaDeviceBench) {
    this.bench = bench;
  }

  async get(offset: number): Promise<number> {
    return await this.bench.read("bar0", offset, 32);
  }

  async set(offset: number, value: number): Promise<void> {
    await this.bench.write("bar0", offset, 32, value >>> 0);
  }

  async doorbell(number: number, value: number): Promise<void> {
    await this.set(reg.doorbells + number * this.stride, value);
  }

  /** Reset, admin queues, enable: 7.6.1. */
  async enable(entries = adminEntries): Promise<void> {
    this.stride = 4 << ((await this.get(reg.cap + 4)) & 15);
    this.maxEntries = ((await this.get(reg.cap)) & 0xffff) + 1;
    await this.disable();
    const submission = await this.bench.allocate(entries * 64);
    const completion = await this.bench.allocate(entries * 16);
    this.admin = new QueuePair(this, 0, entries, submission, completion);
    await this.set(reg.aqa, ((entries - 1) << 16) | (entries - 1));
    await this.setAddress(reg.asq, submission.iova);
    await this.setAddress(reg.acq, completion.iova);
    await this.set(reg.cc, enabled);
    await this.bench.until(async () => ((await this.get(reg.csts)) & csts.ready) !== 0, "CSTS.RDY is set");
  }

  async disable(): Promise<void> {
    await this.set(reg.cc, 0);
    await this.bench.until(async () => ((await this.get(reg.csts)) & csts.ready) === 0, "CSTS.RDY is clear");
  }

  /** A 64-bit register as two halves (3.1). */
  async setAddress(offset: number, address: number): Promise<void> {
    await this.set(offset, address % 2 ** 32);
    await this.set(offset + 4, Math.floor(address / 2 ** 32));
  }

  /** Enables, and learns what the controller and namespace 1 are. */
  async start(): Promise<void> {
    await this.enable();
    this.controller = await this.identify(1);
    this.namespace = await this.identify(0, 1);
    this.blocks = Number(this.namespace.getBigUint64(0, true));
    this.blockBytes = 1 << this.namespace.getUint8(128 + (this.namespace.getUint8(26) & 15) * 4 + 2);
  }

  async identify(cns: number, namespace = 0): Promise<DataView> {
    const block = await this.bench.allocate(pageBytes);
    const completion = await this.admin.run({ opcode: admin.identify, namespace, prp1: block.iova, dwords: [cns] });
    if (completion.status !== status.success) throw new Error(`identify ${cns} of namespace ${namespace}: status 0x${completion.status.toString(16)}`);
    const bytes = await this.bench.readMemory(block.iova, pageBytes);
    await this.bench.unmap(block);
    return new DataView(bytes.slice().buffer);
  }

  /** Makes both queues with the same number; `vector` undefined: without interrupts. */
  async createPair(id: number, entries: number, vector?: number): Promise<QueuePair> {
    const submission = await this.bench.allocate(entries * 64);
    const completion = await this.bench.allocate(entries * 16);
    const made = await this.admin.run(createCq(id, entries, completion.iova, vector));
    if (made.status !== status.success) throw new Error(`create completion queue ${id}: status 0x${made.status.toString(16)}`);
    const second = await this.admin.run(createSq(id, entries, submission.iova, id));
    if (second.status !== status.success) throw new Error(`create submission queue ${id}: status 0x${second.status.toString(16)}`);
    return new QueuePair(this, id, entries, submission, completion);
  }

  /** Moves blocks to or from memory that is contiguous from `address`, through a PRP list where one is needed. */
  async transfer(opcode: number, first: number, count: number, address: number, options: { namespace?: number; control?: number } = {}): Promise<Command> {
    const { namespace = 1, control = 0 } = options;
    const left = count * this.blockBytes - (pageBytes - (address % pageBytes));
    const second = address - (address % pageBytes) + pageBytes;
    let prp2 = left > 0 ? second : 0;
    if (left > pageBytes) prp2 = await this.prpList(Array.from({ length: Math.ceil(left / pageBytes) }, (_, index) => second + index * pageBytes));
    return { opcode, namespace, prp1: address, prp2, dwords: [first % 2 ** 32, Math.floor(first / 2 ** 32), (control | (count - 1)) >>> 0] };
  }

  /** Pages with the entries, chained where they don't fit one (4.3). `at`: offset of the first entry in its page. */
  async prpList(entries: readonly number[], at = 0): Promise<number> {
    const room = (pageBytes - at) / 8;
    const block = await this.bench.allocate(pageBytes);
    const here = entries.length > room ? [...entries.slice(0, room - 1), await this.prpList(entries.slice(room - 1))] : entries;
    const bytes = new DataView(new ArrayBuffer(here.length * 8));
    for (const [index, entry] of here.entries()) bytes.setBigUint64(index * 8, BigInt(entry), true);
    await this.bench.writeMemory(block.iova + at, new Uint8Array(bytes.buffer));
    return block.iova + at;
  }

  /** Writes blocks and expects that to succeed. */
  async writeBlocks(queue: QueuePair, first: number, bytes: Uint8Array, control = 0): Promise<void> {
    const block = await this.#scratch(bytes.length);
    await this.bench.writeMemory(block.iova, bytes);
    const { status: code } = await queue.run(await this.transfer(nvm.write, first, bytes.length / this.blockBytes, block.iova, { control }));
    if (code !== status.success) throw new Error(`write of block ${first}: status 0x${code.toString(16)}`);
  }

  async readBlocks(queue: QueuePair, first: number, count: number, control = 0): Promise<Uint8Array> {
    const block = await this.#scratch(count * this.blockBytes);
    await this.bench.writeMemory(block.iova, new Uint8Array(count * this.blockBytes).fill(0xa5));
    const { status: code } = await queue.run(await this.transfer(nvm.read, first, count, block.iova, { control }));
    if (code !== status.success) throw new Error(`read of block ${first}: status 0x${code.toString(16)}`);
    return await this.bench.readMemory(block.iova, count * this.blockBytes);
  }

  async #scratch(sizeBytes: number): Promise<DmaBlock> {
    if (this.#buffer === undefined || this.#buffer.sizeBytes < sizeBytes) this.#buffer = await this.bench.allocate(sizeBytes);
    return this.#buffer;
  }
}

export function createCq(id: number, entries: number, address: number, vector?: number): Command {
  const flags = vector === undefined ? 1 : ((vector << 16) | 3) >>> 0;
  return { opcode: admin.createCq, prp1: address, dwords: [(((entries - 1) << 16) | id) >>> 0, flags] };
}

export function createSq(id: number, entries: number, address: number, completion: number): Command {
  return { opcode: admin.createSq, prp1: address, dwords: [(((entries - 1) << 16) | id) >>> 0, ((completion << 16) | 1) >>> 0] };
}

/** Bytes that differ from block to block and from seed to seed. */
export function pattern(sizeBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < sizeBytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Where two byte arrays begin to differ; -1 for nowhere. A matcher that prints them would take seconds for a megabyte. */
export function differsAt(actual: Uint8Array, expected: Uint8Array): number {
  const common = Math.min(actual.length, expected.length);
  if (Buffer.compare(actual.subarray(0, common), expected.subarray(0, common)) !== 0) return actual.findIndex((byte, index) => byte !== expected[index]);
  return actual.length === expected.length ? -1 : common;
}

/** Makes a test's body from one that is given a started controller. */
export type OnNvme = (body: (nvme: Nvme, bench: DmaDeviceBench) => Promise<void>) => () => Promise<void>;

export function startedOn(factory: DmaBenchFactory): OnNvme {
  return (body) => () => withDmaBench(factory, async (bench) => {
    const nvme = new Nvme(bench);
    await nvme.start();
    await body(nvme, bench);
  });
}

function encode({ opcode, namespace = 0, prp1 = 0, prp2 = 0, dwords = [], flags = 0 }: Command, id: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, ((id << 16) | flags | opcode) >>> 0, true);
  view.setUint32(4, namespace, true);
  view.setBigUint64(24, BigInt(prp1), true);
  view.setBigUint64(32, BigInt(prp2), true);
  for (const [index, word] of dwords.entries()) view.setUint32(40 + index * 4, word, true);
  return new Uint8Array(view.buffer);
}
