/** The guest's ends of its class's queues: hands batches of requests to the driver and gathers its completions. */
import type { ClassContract, Queue } from "./contract.ts";
import type { DriverQueue } from "./driver.ts";
import { AirlockError } from "./errors.ts";
import { type MessageRecord, maxPayloadBytes } from "./records.ts";

/** Sends the first `count` words as completions of queue `id`. */
type Put = (id: number, words: Uint32Array, count: number) => void;

type Handler = (words: Uint32Array, count: number) => void | Promise<void>;

const wordBytes = 4;

export class GuestQueues {
  readonly #contract: ClassContract;
  readonly #ends: readonly QueueEnd[];

  /** `put` sends a record now; `changed` says that completions wait for the end of the turn. */
  constructor(contract: ClassContract, put: Put, changed: () => void) {
    this.#contract = contract;
    this.#ends = contract.queueList.map((queue) => new QueueEnd(queue, put, changed));
  }

  /** @throws AirlockError CapabilityViolation when the class has no such queue */
  find(name: string): DriverQueue {
    const found = this.#contract.queueList.findIndex((queue) => queue.name === name);
    if (found < 0) throw new AirlockError("CapabilityViolation", `the class ${this.#contract.name} has no queue "${name}"`, { capability: name });
    return this.#ends[found]!;
  }

  /** Requests arrived: runs the driver's handler and returns what it returned. */
  deliver(record: MessageRecord): unknown {
    const end = this.#ends[record.id];
    if (end === undefined) throw new AirlockError("ProtocolViolation", `no queue ${record.id}`);
    return end.deliver(record.payload);
  }

  /** Requests that lie in the inbox, where they stay during the call. */
  deliverWords(id: number, words: Uint32Array, payloadBytes: number): unknown {
    const end = this.#ends[id];
    if (end === undefined) throw new AirlockError("ProtocolViolation", `no queue ${id}`);
    return end.deliverWords(words, payloadBytes);
  }

  /** Sends the completions that wait. */
  flush(): void {
    const ends = this.#ends;
    for (let index = 0; index < ends.length; index++) ends[index]!.flush();
  }
}

class QueueEnd implements DriverQueue {
  readonly #queue: Queue;
  readonly #put: Put;
  readonly #changed: () => void;
  readonly #completions: Uint32Array;
  readonly #entryWords: number;
  readonly #requestBytes: number;
  #used = 0;
  #handler: Handler | undefined;

  constructor(queue: Queue, put: Put, changed: () => void) {
    this.#queue = queue;
    this.#put = put;
    this.#changed = changed;
    this.#entryWords = queue.completion.words;
    this.#requestBytes = queue.request.words * wordBytes;
    const entries = Math.floor(maxPayloadBytes / wordBytes / this.#entryWords);
    this.#completions = new Uint32Array(entries * this.#entryWords);
  }

  onRequests(handler: Handler): void {
    this.#handler = handler;
  }

  complete(tag: number, word1 = 0, word2 = 0, word3 = 0): void {
    const words = this.#completions;
    const entryWords = this.#entryWords;
    let at = this.#used;
    if (at === words.length) {
      this.flush();
      at = 0;
    }
    words[at] = tag;
    if (entryWords > 1) words[at + 1] = word1;
    if (entryWords > 2) words[at + 2] = word2;
    if (entryWords > 3) words[at + 3] = word3;
    this.#used = at + entryWords;
    // Only the first of a batch has news.
    if (at === 0) this.#changed();
  }

  deliver(payload: Uint8Array): unknown {
    return this.deliverWords(new Uint32Array(payload.buffer, payload.byteOffset, payload.length >> 2), payload.length);
  }

  deliverWords(words: Uint32Array, payloadBytes: number): unknown {
    const count = payloadBytes / this.#requestBytes;
    if (!Number.isInteger(count)) throw new AirlockError("ProtocolViolation", `${payloadBytes} bytes are no whole requests of queue ${this.#queue.name}`);
    if (this.#handler === undefined) throw new AirlockError("ProtocolViolation", `init set no handler for requests of queue "${this.#queue.name}"`);
    return this.#handler(words, count);
  }

  flush(): void {
    if (this.#used === 0) return;
    const used = this.#used;
    this.#used = 0;
    this.#put(this.#queue.id, this.#completions, used);
  }
}
