/** Fetches commands, has them executed, posts their completions and interrupts (NVMe 1.4, 4.1, 4.6, 4.13, 7.5). */
import type { Clock } from "../api/clock.ts";
import type { DmaPort, IrqPin } from "../bus/device.ts";
import { type NvmeAdmin, deferred } from "./nvme-admin.ts";
import type { NvmeEvents } from "./nvme-events.ts";
import type { NvmeFeatures } from "./nvme-features.ts";
import type { NvmeIo } from "./nvme-io.ts";
import type { NvmeLogs } from "./nvme-log.ts";
import { type CompletionQueue, type NvmeQueues, type SubmissionQueue, freeEntries, waiting } from "./nvme-queues.ts";
import { EventInfo, EventType, Log, Status, Word, ioQueuePairs, vectorCount } from "./nvme-registers.ts";

/** Commands fetched by one read of memory, and so executed before another queue has its turn. */
const fetchLimit = 16;
/** Commands and bytes moved in one go: then whoever shares the controller's thread has a turn. */
const commandsPerVisit = 64;
const bytesPerVisit = 4 * 1_048_576;

const entryBytes = 64;
const completionBytes = 16;

export interface EngineParts {
  readonly clock: Clock;
  readonly latencyMicros: number;
  readonly dma: DmaPort;
  readonly queues: NvmeQueues;
  readonly admin: NvmeAdmin;
  readonly io: NvmeIo;
  readonly features: NvmeFeatures;
  readonly logs: NvmeLogs;
  readonly events: NvmeEvents;
  /** Pins "msix0" and up; empty: the controller uses its INTx pin. */
  readonly messages: readonly IrqPin[];
  readonly intx: IrqPin;
  /** Queue memory is out of reach: the controller fails (CSTS.CFS). */
  fatal(): void;
}

/**
 * Runs inside the doorbell write that gives it work, or `latencyMicros` after it. Queues take turns (round robin, 4.13);
 * at most one timer is set, for a visit that has to go on or to begin.
 */
export class NvmeEngine {
  readonly #parts: EngineParts;
  readonly #fetched = new Uint32Array(fetchLimit * entryBytes / 4);
  readonly #fetchedBytes = new Uint8Array(this.#fetched.buffer);
  readonly #views: readonly Uint8Array[] = Array.from({ length: fetchLimit }, (_, index) => this.#fetchedBytes.subarray(0, (index + 1) * entryBytes));
  readonly #commands: readonly Uint32Array[] = Array.from({ length: fetchLimit }, (_, index) => this.#fetched.subarray(index * 16, index * 16 + 16));
  readonly #completion = new Uint32Array(completionBytes / 4);
  readonly #completionBytes = new Uint8Array(this.#completion.buffer);
  #running = false;
  /** Somebody rang during a visit: an interrupt can make a driver in the same thread do that. */
  #rung = false;
  #ready = false;
  #turn = 0;
  #commandsLeft = 0;
  #bytesLeft = 0;
  #intxMask = 0;
  #intxHigh = false;
  #cancel: (() => void) | undefined;
  completed = 0;
  errors = 0;
  interrupts = 0;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** The controller is ready: doorbells count from now on. */
  start(): void {
    this.#ready = true;
  }

  /** Nothing is fetched and nothing completes any more; pins go low with the queues. */
  stop(): void {
    this.#ready = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#turn = 0;
    this.updatePin();
  }

  get intxMask(): number {
    return this.#intxMask;
  }

  set intxMask(mask: number) {
    this.#intxMask = mask;
    this.updatePin();
  }

  /** A write to a doorbell: tail of a submission queue at even numbers, head of a completion queue at odd ones (3.1.24, 3.1.25). */
  doorbell(number: number, value: number): void {
    if (!this.#ready) return;
    const id = number >> 1;
    const isCompletion = (number & 1) !== 0;
    const queue = id > ioQueuePairs ? undefined : isCompletion ? this.#parts.queues.completion[id] : this.#parts.queues.submission[id];
    if (queue === undefined) this.#doorbellError(EventInfo.invalidDoorbellRegister);
    else if (value >= queue.entries) this.#doorbellError(EventInfo.invalidDoorbellValue);
    else if (isCompletion) this.#setHead(queue as CompletionQueue, value);
    else {
      queue.tail = value;
      this.#schedule();
    }
  }

  /** The level of the INTx pin: high while a queue with interrupts has entries that are not consumed, and it is not masked (7.5.1.1). */
  updatePin(): void {
    if (this.#parts.messages.length > 0) return;
    const { completion } = this.#parts.queues;
    const high = this.#ready && completion.some((queue) =>
      queue !== undefined && queue.interrupts && queue.head !== queue.tail && ((this.#intxMask >>> (queue.vector % vectorCount)) & 1) === 0);
    if (high === this.#intxHigh) return;
    this.#intxHigh = high;
    if (high) this.interrupts++;
    this.#parts.intx.set(high);
  }

  /** The head has to lie between where it was and the tail: else entries would be given back that were never there. */
  #setHead(queue: CompletionQueue, head: number): void {
    const consumed = head >= queue.head ? head - queue.head : head + queue.entries - queue.head;
    const present = queue.entries - 1 - freeEntries(queue);
    if (consumed > present) return this.#doorbellError(EventInfo.invalidDoorbellValue);
    const wasFull = freeEntries(queue) === 0;
    queue.head = head;
    this.updatePin();
    if (wasFull && consumed > 0) this.#schedule();
  }

  #doorbellError(info: number): void {
    this.#parts.logs.addError(0, undefined, Status.success);
    this.#parts.events.raise(EventType.error, info, Log.errors);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#running) this.#rung = true;
    if (this.#cancel !== undefined || this.#running) return;
    if (this.#parts.latencyMicros > 0) this.#later(this.#parts.latencyMicros);
    else this.#visit();
  }

  #later(delayMicros: number): void {
    this.#cancel = this.#parts.clock.setTimer(delayMicros, () => {
      this.#cancel = undefined;
      this.#visit();
    });
  }

  /** Gives queues their turns until none can go on, or enough was done for now. */
  #visit(): void {
    this.#running = true;
    this.#rung = false;
    this.#commandsLeft = commandsPerVisit;
    this.#bytesLeft = bytesPerVisit;
    const { queues } = this.#parts;
    // What the admin queue has may concern what the others have: an abort comes too late if it has to wait its turn.
    this.#serve(queues.submission[0]);
    for (let idle = 0; this.#ready && idle < queues.end && this.#commandsLeft > 0 && this.#bytesLeft > 0;) {
      const queue = queues.submission[this.#turn];
      this.#turn = this.#turn + 1 >= queues.end ? 0 : this.#turn + 1;
      idle = this.#serve(queue) ? 0 : idle + 1;
    }
    if (this.#ready) this.#deliverEvents();
    this.#interrupt();
    this.#running = false;
    // Whatever waits now has its turn in a visit of its own.
    if (this.#ready && this.#cancel === undefined && (this.#rung || this.#hasWork())) this.#later(this.#parts.latencyMicros);
  }

  #hasWork(): boolean {
    const { submission, end } = this.#parts.queues;
    for (let id = 0; id < end; id++) {
      const queue = submission[id];
      if (queue !== undefined && queue.head !== queue.tail && freeEntries(queue.completion) > 0) return true;
    }
    return false;
  }

  /** One queue's turn. False: there was nothing to do, or no room for a completion. */
  #serve(queue: SubmissionQueue | undefined): boolean {
    if (queue === undefined || queue.head === queue.tail) return false;
    const burst = Math.min(fetchLimit, this.#commandsLeft, this.#parts.features.burst);
    const count = Math.min(burst, waiting(queue), queue.entries - queue.head, freeEntries(queue.completion));
    if (count === 0) return false;
    if (!this.#parts.dma.read(queue.address + queue.head * entryBytes, this.#views[count - 1]!)) {
      this.#parts.fatal();
      return false;
    }
    this.#commandsLeft -= count;
    for (let index = 0; index < count && this.#ready; index++) {
      queue.head = queue.head + 1 === queue.entries ? 0 : queue.head + 1;
      this.#execute(queue, this.#commands[index]!);
    }
    return true;
  }

  #execute(queue: SubmissionQueue, command: Uint32Array): void {
    const { admin, io } = this.#parts;
    if (admin.takeAbort(queue.id, command)) return this.#complete(queue, command, Status.abortRequested, 0);
    if (queue.id !== 0) {
      const status = io.execute(command);
      this.#bytesLeft -= io.cost;
      return this.#complete(queue, command, status, 0);
    }
    const status = admin.execute(command);
    if (status !== deferred) this.#complete(queue, command, status, admin.result);
  }

  #complete(queue: SubmissionQueue, command: Uint32Array, status: number, result: number): void {
    if (status !== Status.success) {
      this.errors++;
      this.#parts.logs.addError(queue.id, command, status);
    }
    this.#post(queue, command[Word.opcode]! >>> 16, status, result);
  }

  /** Writes a completion queue entry (4.6). */
  #post({ id, head, completion }: SubmissionQueue, commandId: number, status: number, result: number): void {
    const entry = this.#completion;
    entry[0] = result;
    entry[1] = 0;
    entry[2] = (id << 16) | head;
    entry[3] = (status << 17) | (completion.phase << 16) | commandId;
    if (!this.#parts.dma.write(completion.address + completion.tail * completionBytes, this.#completionBytes)) return this.#parts.fatal();
    this.completed++;
    completion.news = true;
    if (++completion.tail < completion.entries) return;
    completion.tail = 0;
    completion.phase ^= 1;
  }

  #deliverEvents(): void {
    const queue = this.#parts.queues.submission[0];
    while (queue !== undefined && this.#ready && freeEntries(queue.completion) > 0) {
      const event = this.#parts.events.take();
      if (event === undefined) return;
      this.#post(queue, event.commandId, event.status, event.result);
    }
  }

  /** One message for all that a visit added to a queue. */
  #interrupt(): void {
    const { completion, end } = this.#parts.queues;
    for (let id = 0; id < end; id++) {
      const queue = completion[id];
      if (queue === undefined || !queue.news) continue;
      queue.news = false;
      if (!queue.interrupts || this.#parts.messages.length === 0) continue;
      this.interrupts++;
      this.#parts.messages[queue.vector]?.pulse();
    }
    this.updatePin();
  }
}
