/** The guest's ends of its class's queues: hands batches of requests to the driver and gathers its completions. */
import type { ClassContract, Queue } from "./contract.ts";
import type { DriverQueue } from "./driver.ts";
import { AirlockError } from "./errors.ts";
import { type MessageRecord, RecordKind, maxPayloadBytes } from "./records.ts";

type Put = (kind: number, id: number, tag: number, payload: Uint8Array) => void;

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

  /** Sends the completions that wait. */
  flush(): void {
    for (const end of this.#ends) end.flush();
  }
}

class QueueEnd implements DriverQueue {
  readonly #queue: Queue;
  readonly #put: Put;
  readonly #changed: () => void;
  readonly #completions: Uint32Array;
  readonly #entryWords: number;
  #used = 0;
  #handler: Handler | undefined;

  constructor(queue: Queue, put: Put, changed: () => void) {
    this.#queue = queue;
    this.#put = put;
    this.#changed = changed;
    this.#entryWords = queue.completion.words;
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
    this.#changed();
  }

  deliver(payload: Uint8Array): unknown {
    const { name, request } = this.#queue;
    const words = payload.length / wordBytes;
    if (words % request.words !== 0) throw new AirlockError("ProtocolViolation", `${payload.length} bytes are no whole requests of queue ${name}`);
    if (this.#handler === undefined) throw new AirlockError("ProtocolViolation", `init set no handler for requests of queue "${name}"`);
    return this.#handler(new Uint32Array(payload.buffer, payload.byteOffset, words), words / request.words);
  }

  flush(): void {
    if (this.#used === 0) return;
    const bytes = new Uint8Array(this.#completions.buffer, 0, this.#used * wordBytes);
    this.#used = 0;
    this.#put(RecordKind.completions, this.#queue.id, 0, bytes);
  }
}
