/** The block workload: reads and writes all over a part of the volume, several at once, and compares every byte with what it wrote. */
import { errorText } from "../../api/errors.ts";
import { type Workload, type WorkloadEnvironment, Tally, sleep } from "../workload.ts";
import type { Volume, VolumeInfo } from "./volume.ts";

/** What is written to lies at the start of the volume; a copy of it is in memory. */
const regionBytes = 8_388_608;

/** Calls under way at once. */
const depth = 8;

const mostBlocks = 64;

/** After a call that failed: a client that tries again at once would keep everyone else from working. */
const pauseMs = 1;

/** Of a hundred operations: up to these numbers a write, a read, a flush, zeroes, and a discard the rest. */
const share = { write: 45, read: 90, flush: 94, writeZeroes: 97 };

export async function createWorkload(volume: Volume, environment: WorkloadEnvironment): Promise<Workload> {
  return new VolumeWorkload(volume, await volume.info(), environment);
}

class VolumeWorkload implements Workload {
  readonly #volume: Volume;
  readonly #info: VolumeInfo;
  readonly #environment: WorkloadEnvironment;
  readonly #tally = new Tally();
  readonly #blocks: number;
  /** What the region holds once all calls made so far are done: the shadow keeps those that overlap in their order. */
  readonly #expected: Uint8Array;
  /** 1 for each block whose contents are known. */
  readonly #known: Uint8Array;
  #underWay = 0;
  /** Told of each operation that ends. */
  #waiters: (() => void)[] = [];
  #writes = 0;

  constructor(volume: Volume, info: VolumeInfo, environment: WorkloadEnvironment) {
    this.#volume = volume;
    this.#info = info;
    this.#environment = environment;
    this.#blocks = Math.floor(Math.min(info.sizeBytes, regionBytes) / info.blockBytes);
    this.#expected = new Uint8Array(this.#blocks * info.blockBytes);
    this.#known = new Uint8Array(this.#blocks);
  }

  get totals(): Workload["totals"] {
    return this.#tally.totals;
  }

  get errors(): readonly string[] {
    return this.#tally.errors;
  }

  /** Starts an operation as soon as there are not too many under way. */
  async step(): Promise<void> {
    while (this.#underWay >= depth) await this.#oneEnds();
    this.#underWay++;
    void this.#attempt();
  }

  async close(): Promise<void> {
    while (this.#underWay > 0) await this.#oneEnds();
    this.#volume.close();
  }

  #oneEnds(): Promise<void> {
    return new Promise((resolve) => { this.#waiters.push(resolve); });
  }

  async #attempt(): Promise<void> {
    try {
      await this.#operate();
      this.#tally.totals.operations++;
    } catch (error) {
      this.#tally.wrong(errorText(error));
      await sleep(this.#environment.clock, pauseMs);
    }
    this.#underWay--;
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #operate(): Promise<void> {
    const { random } = this.#environment;
    const count = 1 + Math.floor(random() * Math.min(mostBlocks, this.#blocks));
    const first = Math.floor(random() * (this.#blocks - count + 1));
    const choice = random() * 100;
    const { readOnly, writeZeroes, discard } = this.#info;
    if (readOnly || (choice >= share.write && choice < share.read)) return this.#read(first, count);
    if (choice < share.write) return this.#write(first, count, random() < 0.1);
    if (choice < share.flush) return this.#volume.flush();
    if (choice < share.writeZeroes) return writeZeroes ? this.#writeZeroes(first, count, random() < 0.5) : this.#read(first, count);
    return discard ? this.#discard(first, count) : this.#read(first, count);
  }

  async #write(first: number, count: number, fua: boolean): Promise<void> {
    const { blockBytes } = this.#info;
    // Never changed again: the journal may hold it.
    const data = contents(++this.#writes, first, count, blockBytes);
    this.#expected.set(data, first * blockBytes);
    await this.#change(first, count, this.#volume.write(first * blockBytes, data, { fua }));
    this.#tally.totals.bytesSent += data.length;
  }

  #writeZeroes(first: number, count: number, mayDiscard: boolean): Promise<void> {
    const { blockBytes } = this.#info;
    this.#writes++;
    this.#expected.fill(0, first * blockBytes, (first + count) * blockBytes);
    return this.#change(first, count, this.#volume.writeZeroes(first * blockBytes, count * blockBytes, { mayDiscard }));
  }

  async #change(first: number, count: number, done: Promise<void>): Promise<void> {
    this.#known.fill(1, first, first + count);
    try {
      await done;
    } catch (error) {
      this.#known.fill(0, first, first + count);
      throw error;
    }
  }

  #discard(first: number, count: number): Promise<void> {
    const { blockBytes } = this.#info;
    this.#known.fill(0, first, first + count);
    return this.#volume.discard(first * blockBytes, count * blockBytes);
  }

  async #read(first: number, count: number): Promise<void> {
    const { blockBytes } = this.#info;
    const expected = this.#expected.slice(first * blockBytes, (first + count) * blockBytes);
    const known = this.#known.slice(first, first + count);
    const data = await this.#volume.read(first * blockBytes, count * blockBytes);
    if (data.length !== expected.length) throw new Error(`${data.length} bytes were read instead of ${expected.length}`);
    if (Buffer.compare(data, expected) === 0) return;
    for (let block = 0; block < count; block++) {
      // A write that failed meanwhile left nobody knows what.
      if (known[block] === 0 || this.#known[first + block] === 0) continue;
      const wrong = wrongBytes(data, expected, block * blockBytes, blockBytes);
      if (wrong === 0) continue;
      this.#tally.totals.bytesCorrupted += wrong;
      this.#tally.wrong(`${wrong} bytes of block ${first + block} are not what was written there`);
    }
  }
}

/** Bytes that tell which write they are of, and of which block. */
function contents(write: number, first: number, count: number, blockBytes: number): Uint8Array {
  const words = new Uint32Array(count * blockBytes / 4);
  const perBlock = blockBytes / 4;
  for (let index = 0; index < words.length; index++) {
    const block = first + Math.floor(index / perBlock);
    words[index] = Math.imul(write, 0x9e37_79b1) ^ Math.imul(block, 0x85eb_ca6b) ^ Math.imul(index % perBlock, 0xc2b2_ae35);
  }
  return new Uint8Array(words.buffer);
}

function wrongBytes(data: Uint8Array, expected: Uint8Array, from: number, length: number): number {
  let wrong = 0;
  for (let at = from; at < from + length; at++) if (data[at] !== expected[at]) wrong++;
  return wrong;
}
