/** A client that knows what its disk must hold after a power cut: some of what it was told is written, or all of it. */
import { uniform } from "../../runtime/cli/random.ts";
import { Command } from "../../runtime/exports/nbd/protocol.ts";
import { NbdClient } from "./nbd-client.ts";

export const blockBytes = 4_096;
/** Few blocks, so that many are written more than once between two flushes. */
const blocks = 192;
/** Longest write, in blocks. */
const longestBlocks = 16;
/** Requests at once, each on a connection of its own: a flush on one is for the writes of all. */
const connections = 6;
/** NBD_CMD_FLAG_FUA. */
const flagFua = 1;

/** Of one block: versions in the order they were written; 0 is zeroes. */
interface Block {
  written: number;
  acknowledged: number;
  /** The newest that a flush or FUA covers. */
  safe: number;
}

/** Kinds of what was found in a block after a power cut. */
export interface Losses {
  /** Blocks that hold less than they were acknowledged with, but all that was flushed. */
  readonly unflushed: number;
  /** Blocks that lost what had been acknowledged and flushed, or hold what nobody wrote; told in words. */
  readonly wrong: readonly string[];
}

export class PowerClient implements AsyncDisposable {
  readonly #clients: readonly NbdClient[];
  readonly #random: () => number;
  readonly #blocks: Block[] = Array.from({ length: blocks }, () => ({ written: 0, acknowledged: 0, safe: 0 }));
  readonly #busy = new Set<number>();
  /** What was safe, and acknowledged, when the power was cut. */
  #atCut: readonly Block[] = [];
  #working = false;
  #work: Promise<unknown> = Promise.resolve();

  private constructor(clients: readonly NbdClient[], seed: number) {
    this.#clients = clients;
    this.#random = uniform(seed);
  }

  /** Opens the disk at a Unix socket and zeroes the blocks it works on. */
  static async open(socket: string, seed: number): Promise<PowerClient> {
    const clients = await Promise.all(Array.from({ length: connections }, () => NbdClient.open(socket, { structured: true })));
    const client = new PowerClient(clients, seed);
    await client.#request({ type: Command.writeZeroes, sizeBytes: blocks * blockBytes });
    await client.#request({ type: Command.flush });
    return client;
  }

  /** A number from 0 to below `limit`, of the seed. */
  pick(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** Writes and flushes at random, several at once, until `pause`. */
  resume(): void {
    this.#working = true;
    this.#work = Promise.all(this.#clients.map(async (client) => { while (this.#working) await this.#step(client); }));
    this.#work.catch(() => undefined); // `pause` tells
  }

  /** To be called right before the power is cut: what was acknowledged and flushed by now must outlive it. */
  cutting(): void {
    this.#atCut = this.#blocks.map((block) => ({ ...block }));
  }

  /** Every request under way is answered. @throws Error when one was answered with an error */
  async pause(): Promise<void> {
    this.#working = false;
    await this.#work;
  }

  /** Reads everything, while paused; what was found is what the disk holds from then on. */
  async check(): Promise<Losses> {
    let unflushed = 0;
    const wrong: string[] = [];
    for (const [index, block] of this.#blocks.entries()) {
      const { data } = await this.#request({ type: Command.read, offset: index * blockBytes, sizeBytes: blockBytes });
      const version = data.readUInt32LE(4);
      const { safe, acknowledged } = this.#atCut[index] ?? block;
      const whole = data.equals(version === 0 ? Buffer.alloc(blockBytes) : contents(index, version));
      if (!whole || version < safe || version > block.written) {
        wrong.push(`block ${index} holds ${whole ? `version ${version}` : "a mixture"}; flushed ${safe}, acknowledged ${acknowledged} before the cut and ${block.acknowledged} in all, written ${block.written}`);
      } else if (version < block.acknowledged) {
        unflushed++;
      }
      block.acknowledged = version;
      block.safe = 0;
    }
    await this.#request({ type: Command.flush });
    for (const block of this.#blocks) block.safe = block.acknowledged;
    this.#atCut = [];
    return { unflushed, wrong };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#working = false;
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
    await this.#work.catch(() => undefined);
  }

  async #step(client: NbdClient): Promise<void> {
    if (this.pick(24) === 0) return this.#flush(client);
    const first = this.pick(blocks);
    const mine = Array.from({ length: Math.min(1 + this.pick(longestBlocks), blocks - first) }, (_, index) => first + index);
    // Two writes at once to one block may land in any order.
    if (mine.some((index) => this.#busy.has(index))) return new Promise((resolve) => { setImmediate(resolve); });
    for (const index of mine) this.#busy.add(index);
    const versions = mine.map((index) => ++this.#blocks[index]!.written);
    const fua = this.pick(8) === 0;
    const data = Buffer.concat(mine.map((index, at) => contents(index, versions[at]!)));
    await this.#request({ type: Command.write, flags: fua ? flagFua : 0, offset: first * blockBytes, sizeBytes: data.length, data }, client);
    for (const [at, index] of mine.entries()) {
      this.#blocks[index]!.acknowledged = versions[at]!;
      if (fua) this.#blocks[index]!.safe = versions[at]!;
      this.#busy.delete(index);
    }
  }

  async #flush(client: NbdClient): Promise<void> {
    const covered = this.#blocks.map(({ acknowledged }) => acknowledged);
    await this.#request({ type: Command.flush }, client);
    for (const [index, block] of this.#blocks.entries()) block.safe = Math.max(block.safe, covered[index]!);
  }

  async #request(fields: Parameters<NbdClient["request"]>[0], client = this.#clients[0]!): Promise<{ readonly data: Buffer }> {
    const reply = await client.request(fields);
    if (reply.errno !== 0) throw new Error(`a client was answered with error ${reply.errno} for request ${fields.type}`);
    return reply;
  }
}

/** Every word tells the block and the version, so that a mixture shows. */
function contents(index: number, version: number): Buffer {
  const words = new Uint32Array(blockBytes / 4);
  for (let at = 0; at < words.length; at += 2) {
    words[at] = index + 1;
    words[at + 1] = version;
  }
  return Buffer.from(words.buffer);
}
