/** Submission and completion queues of an NVMe controller, and the checks on making and deleting them (NVMe 1.4, 4.1, 5.3 to 5.6). */
import { Status, Word, ioQueuePairs, maxQueueEntries, vectorCount } from "./nvme-registers.ts";

export interface CompletionQueue {
  readonly id: number;
  readonly address: number;
  readonly entries: number;
  readonly vector: number;
  readonly interrupts: boolean;
  head: number;
  tail: number;
  /** 1 in the first round, then 0, and so on (4.6). */
  phase: number;
  /** Entries were added that no interrupt has told about. */
  news: boolean;
  /** Submission queues that complete here. */
  users: number;
}

export interface SubmissionQueue {
  readonly id: number;
  readonly address: number;
  readonly entries: number;
  readonly completion: CompletionQueue;
  head: number;
  tail: number;
}

/** Room for completions in a queue: one entry always stays free (4.1.1). */
export function freeEntries({ head, tail, entries }: CompletionQueue): number {
  return head > tail ? head - tail - 1 : entries - 1 - tail + head;
}

/** Commands that wait in a queue. */
export function waiting({ head, tail, entries }: SubmissionQueue): number {
  return tail >= head ? tail - head : entries - head + tail;
}

/** Every queue by its number; number 0 are the admin queues. */
export class NvmeQueues {
  readonly submission: (SubmissionQueue | undefined)[] = new Array<SubmissionQueue | undefined>(ioQueuePairs + 1).fill(undefined);
  readonly completion: (CompletionQueue | undefined)[] = new Array<CompletionQueue | undefined>(ioQueuePairs + 1).fill(undefined);

  /** No queue has this number or a higher one: who looks for work need not look there. */
  end = 0;

  /** Whether any I/O queue exists. */
  get inUse(): boolean {
    return this.completion.some((queue, id) => id > 0 && queue !== undefined);
  }

  clear(): void {
    this.submission.fill(undefined);
    this.completion.fill(undefined);
    this.end = 0;
  }

  createAdmin(submissionAddress: number, submissionEntries: number, completionAddress: number, completionEntries: number): void {
    const completion = newCompletionQueue(0, completionAddress, completionEntries, 0, true);
    completion.users = 1;
    this.end = 1;
    this.completion[0] = completion;
    this.submission[0] = { id: 0, address: submissionAddress, entries: submissionEntries, completion, head: 0, tail: 0 };
  }

  /** `pageBytes`: CC.MPS; `granted`: I/O queues of each kind that the host was told it may have. */
  createCompletion(command: Uint32Array, pageBytes: number, granted: number): number {
    const [id, size] = identity(command);
    const flags = command[Word.cdw11]!;
    const vector = flags >>> 16;
    if (id === 0 || id > granted || this.completion[id] !== undefined) return Status.invalidQueueId;
    if (size === 0 || size > maxQueueEntries) return Status.invalidQueueSize;
    const status = checkAddress(command, pageBytes);
    if (status !== Status.success) return status;
    if (vector >= vectorCount) return Status.invalidVector;
    this.completion[id] = newCompletionQueue(id, address(command), size + 1, vector, (flags & 2) !== 0);
    this.end = Math.max(this.end, id + 1);
    return Status.success;
  }

  createSubmission(command: Uint32Array, pageBytes: number, granted: number): number {
    const [id, size] = identity(command);
    const completionId = command[Word.cdw11]! >>> 16;
    const completion = completionId === 0 ? undefined : this.completion[completionId];
    if (id === 0 || id > granted || this.submission[id] !== undefined) return Status.invalidQueueId;
    if (completionId === 0 || completionId > granted) return Status.invalidQueueId;
    if (completion === undefined) return Status.invalidCompletionQueue;
    if (size === 0 || size > maxQueueEntries) return Status.invalidQueueSize;
    const status = checkAddress(command, pageBytes);
    if (status !== Status.success) return status;
    completion.users++;
    this.end = Math.max(this.end, id + 1);
    this.submission[id] = { id, address: address(command), entries: size + 1, completion, head: 0, tail: 0 };
    return Status.success;
  }

  /** Commands that still wait in it are gone (5.6). */
  deleteSubmission(command: Uint32Array): number {
    const id = command[Word.cdw10]! & 0xffff;
    const queue = id === 0 ? undefined : this.submission[id];
    if (queue === undefined) return Status.invalidQueueId;
    queue.completion.users--;
    this.submission[id] = undefined;
    return Status.success;
  }

  deleteCompletion(command: Uint32Array): number {
    const id = command[Word.cdw10]! & 0xffff;
    const queue = id === 0 ? undefined : this.completion[id];
    if (queue === undefined) return Status.invalidQueueId;
    if (queue.users > 0) return Status.invalidQueueDeletion;
    this.completion[id] = undefined;
    return Status.success;
  }
}

function newCompletionQueue(id: number, address: number, entries: number, vector: number, interrupts: boolean): CompletionQueue {
  return { id, address, entries, vector, interrupts, head: 0, tail: 0, phase: 1, news: false, users: 0 };
}

/** CDW10 of both create commands: number, and entries less one. */
function identity(command: Uint32Array): readonly [id: number, size: number] {
  const word = command[Word.cdw10]!;
  return [word & 0xffff, word >>> 16];
}

/** Queues have to be contiguous (CAP.CQR) and begin on a page. */
function checkAddress(command: Uint32Array, pageBytes: number): number {
  if ((command[Word.prp1Low]! & (pageBytes - 1)) !== 0) return Status.invalidPrpOffset;
  return (command[Word.cdw11]! & 1) === 0 ? Status.invalidField : Status.success;
}

function address(command: Uint32Array): number {
  return command[Word.prp1High]! * 2 ** 32 + command[Word.prp1Low]!;
}
