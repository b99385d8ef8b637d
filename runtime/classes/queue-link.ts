/** A shadow's end of one queue: batches requests to the current driver, knows what it has, and judges what it completes. */
import type { Queue } from "../api/contract.ts";
import { type MessageRecord, RecordKind, maxPayloadBytes } from "../api/records.ts";
import type { DriverPort, ShadowEnvironment } from "./shadow.ts";

/** When the driver's inbox was full, how long until it is tried again; a driver empties it in well under that. */
const retryMicros = 500;

const wordBytes = 4;
const none = -1;

/** What a class does with completions. */
export interface QueueUser<T> {
  /**
   * The driver completed `request`; the words of the entry begin at `words[at]`, and are only valid during the call. The request
   * is out no more. Returns why the completion breaks the contract: a failure of the driver, which is reported for you.
   */
  completed(request: T, words: Uint32Array, at: number): string | undefined;
}

/**
 * Tags are issued here and are out until they come back; each is used once in millions of requests of its slot, so that a late or
 * repeated completion matches nothing, also after a restart. Nothing here allocates per request.
 *
 * Usage: `open` when the driver may have requests; then `add` while `room` is above 0, fill in the entry, and `flush` once per batch;
 * hand records of RecordKind.completions to `receive`; `close` when the driver is gone, which gives back what it had.
 */
export class QueueLink<T> {
  /** The batch being made. Fill in an entry at the place `add` returns, all words but its tag. */
  readonly words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #queue: Queue;
  readonly #environment: Pick<ShadowEnvironment, "driver" | "clock" | "fail">;
  readonly #user: QueueUser<T>;
  readonly #entryWords: number;
  readonly #entriesPerRecord: number;
  #port: DriverPort | undefined;
  #depth = 0;
  #out = 0;
  /** Entries of `words` that were not sent yet. */
  #unsent = 0;
  #cancelRetry: (() => void) | undefined;

  // One slot per request that can be out: its tag is slot + a multiple of #stride.
  readonly #stride: number;
  readonly #requests: (T | undefined)[];
  /** The tag that is out in each slot; 0 when none is. */
  readonly #tags: Uint32Array;
  readonly #lastTags: Uint32Array;
  readonly #free: Uint32Array;
  #freeCount: number;
  // What is out, oldest first.
  readonly #sentMicros: Float64Array;
  readonly #older: Int32Array;
  readonly #younger: Int32Array;
  #oldest = none;
  #youngest = none;
  #batchMicros = 0;
  #cancelDeadline: (() => void) | undefined;
  /** A missed deadline was reported: once per generation. */
  #blamed = false;

  constructor(queue: Queue, environment: Pick<ShadowEnvironment, "driver" | "clock" | "fail">, user: QueueUser<T>) {
    const slots = queue.depth;
    this.#queue = queue;
    this.#environment = environment;
    this.#user = user;
    this.#entryWords = queue.request.words;
    this.#entriesPerRecord = Math.floor(maxPayloadBytes / wordBytes / this.#entryWords);
    this.words = new Uint32Array(slots * this.#entryWords);
    this.#bytes = new Uint8Array(this.words.buffer);
    this.#stride = 2 ** Math.ceil(Math.log2(slots));
    this.#requests = Array.from({ length: slots }, () => undefined);
    this.#tags = new Uint32Array(slots);
    this.#lastTags = Uint32Array.from({ length: slots }, (_, slot) => slot);
    // The last one is taken first: slots are used from 0 on.
    this.#free = Uint32Array.from({ length: slots }, (_, index) => slots - 1 - index);
    this.#freeCount = slots;
    this.#sentMicros = new Float64Array(slots);
    this.#older = new Int32Array(slots);
    this.#younger = new Int32Array(slots);
  }

  /** Whether a driver may be given requests. */
  get isOpen(): boolean {
    return this.#port !== undefined;
  }

  /** Requests the driver has, those of an unsent batch included. */
  get out(): number {
    return this.#out;
  }

  /** How many more it may have now. */
  get room(): number {
    return this.#depth - this.#out;
  }

  /** From now on requests go to this driver, at most `depth` at once. */
  open(port: DriverPort, depth: number): void {
    if (this.#port !== undefined) throw new Error(`queue ${this.#queue.name}: close it before a new driver`);
    this.#port = port;
    this.#depth = Math.min(depth, this.#queue.depth);
    this.#blamed = false;
  }

  /** The driver is gone: what it had, in the order it was added. Nothing it completes later is taken. Idempotent. */
  close(): T[] {
    const had: T[] = [];
    for (let slot = this.#oldest; slot !== none; slot = this.#younger[slot]!) {
      had.push(this.#requests[slot]!);
      this.#requests[slot] = undefined;
      this.#tags[slot] = 0;
      this.#free[this.#freeCount++] = slot;
    }
    this.#oldest = none;
    this.#youngest = none;
    this.#out = 0;
    this.#unsent = 0;
    this.#depth = 0;
    this.#port = undefined;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#cancelDeadline?.();
    this.#cancelDeadline = undefined;
    return had;
  }

  /** Adds a request to the batch; returns where in `words` its entry begins. Call only while `room` is above 0. */
  add(request: T): number {
    if (this.#out >= this.#depth) throw new Error(`queue ${this.#queue.name}: the driver has ${this.#out} requests, no more are allowed`);
    const slot = this.#free[--this.#freeCount]!;
    let tag = (this.#lastTags[slot]! + this.#stride) >>> 0;
    if (tag === 0) tag = this.#stride;
    this.#lastTags[slot] = tag;
    this.#tags[slot] = tag;
    this.#requests[slot] = request;
    if (this.#unsent === 0) this.#batchMicros = this.#environment.clock.nowMicros();
    this.#sentMicros[slot] = this.#batchMicros;
    this.#older[slot] = this.#youngest;
    this.#younger[slot] = none;
    if (this.#youngest === none) this.#oldest = slot;
    else this.#younger[this.#youngest] = slot;
    this.#youngest = slot;
    this.#out++;
    const at = this.#unsent++ * this.#entryWords;
    this.words[at] = tag;
    return at;
  }

  /** Sends the batch. When the driver's inbox is full it is kept, grows with what is added, and is sent later by itself. */
  flush(): void {
    if (this.#unsent === 0 || this.#port === undefined || this.#cancelRetry !== undefined) return;
    this.#watch();
    let sent = 0;
    while (sent < this.#unsent) {
      const count = Math.min(this.#unsent - sent, this.#entriesPerRecord);
      const payload = this.#bytes.subarray(sent * this.#entryWords * wordBytes, (sent + count) * this.#entryWords * wordBytes);
      if (!this.#port.send(RecordKind.requests, this.#queue.id, 0, payload)) break;
      sent += count;
    }
    // The port has copied what it took.
    if (sent < this.#unsent) this.words.copyWithin(0, sent * this.#entryWords, this.#unsent * this.#entryWords);
    this.#unsent -= sent;
    if (this.#unsent > 0) {
      this.#cancelRetry = this.#environment.clock.setTimer(retryMicros, () => {
        this.#cancelRetry = undefined;
        this.flush();
      });
    }
  }

  /** A record of RecordKind.completions. Returns why it breaks the contract; what came before the broken entry was taken. */
  receive({ id, tag, payload }: MessageRecord): string | undefined {
    const { name, completion } = this.#queue;
    if (id !== this.#queue.id) return `completions of queue ${id}; queue ${name} is ${this.#queue.id}`;
    if (tag !== 0) return `completions of queue ${name} with tag ${tag}; batches have none`;
    const count = payload.length / wordBytes / completion.words;
    if (count === 0 || !Number.isInteger(count)) return `${payload.length} bytes of completions, which are no whole entries of queue ${name}`;
    const words = wordsOf(payload);
    const port = this.#port;
    for (let at = 0; at < words.length; at += completion.words) {
      const reason = this.#complete(words, at);
      if (reason !== undefined) return reason;
      // What the user did may have ended this driver.
      if (this.#port !== port) return undefined;
    }
    return undefined;
  }

  #complete(words: Uint32Array, at: number): string | undefined {
    const tag = words[at]!;
    const slot = tag & (this.#stride - 1);
    // A slot beyond the last has no tag; 0 is never out.
    if (tag === 0 || this.#tags[slot] !== tag) {
      return `a completion in queue ${this.#queue.name} with tag ${tag}, which is not out: a second one, or never asked`;
    }
    const request = this.#requests[slot]!;
    if (this.#isUnsent(tag)) return `a completion in queue ${this.#queue.name} with tag ${tag}, which was not sent yet`;
    this.#tags[slot] = 0;
    this.#requests[slot] = undefined;
    this.#free[this.#freeCount++] = slot;
    this.#out--;
    const older = this.#older[slot]!;
    const younger = this.#younger[slot]!;
    if (older === none) this.#oldest = younger;
    else this.#younger[older] = younger;
    if (younger === none) this.#youngest = older;
    else this.#older[younger] = older;
    return this.#user.completed(request, words, at);
  }

  /** Whether a tag is still in the batch: a driver that guesses it would make the batch name a slot that is free again. */
  #isUnsent(tag: number): boolean {
    for (let entry = 0; entry < this.#unsent; entry++) if (this.words[entry * this.#entryWords] === tag) return true;
    return false;
  }

  /** One timer for all: it looks at the oldest request, and is set again for the one that is the oldest then. */
  #watch(): void {
    const { deadlineMs, name } = this.#queue;
    if (this.#cancelDeadline !== undefined || this.#oldest === none || this.#blamed || deadlineMs === Infinity) return;
    const { clock, driver } = this.#environment;
    const dueMicros = this.#sentMicros[this.#oldest]! + deadlineMs * 1000;
    this.#cancelDeadline = clock.setTimer(Math.max(0, dueMicros - clock.nowMicros()), () => {
      this.#cancelDeadline = undefined;
      if (this.#oldest === none) return;
      if (clock.nowMicros() < this.#sentMicros[this.#oldest]! + deadlineMs * 1000) return this.#watch();
      this.#blamed = true;
      const message = `${driver}: a request of queue ${name} was not completed within ${deadlineMs} ms`;
      this.#environment.fail({ kind: "deadline", operation: name, message });
    });
  }
}

/** The payload as words, without a copy where its place allows. */
function wordsOf(payload: Uint8Array): Uint32Array {
  if (payload.byteOffset % wordBytes === 0) return new Uint32Array(payload.buffer, payload.byteOffset, payload.length / wordBytes);
  return new Uint32Array(new Uint8Array(payload).buffer);
}
