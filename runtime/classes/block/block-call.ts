/** One call on its way through the block shadow, and the transfers it is split into. */
import type { AirlockError } from "../../api/errors.ts";
import { BlockFlag, BlockOp } from "./contract.ts";
import type { JournalEntry } from "./journal.ts";

/** The two ends of a client's promise, and whose it is. */
export interface BlockClient {
  readonly owner: object;
  readonly resolve: (data: Uint8Array | undefined) => void;
  readonly reject: (reason: AirlockError) => void;
}

export class BlockCall {
  readonly op: BlockOp;
  /** BlockFlag bits the client asked for. */
  readonly flags: number;
  /** The range in blocks: from `first` up to `end`, not included. Empty for a flush. */
  readonly first: number;
  readonly end: number;
  /** What is written, or where what is read goes once it is there. */
  data: Uint8Array | undefined;
  /** Undefined: made by the shadow itself. */
  readonly client: BlockClient | undefined;
  /** What is made again after a restart. */
  readonly entry: JournalEntry | undefined;

  /** Blocks handed out in transfers; 1 for a flush that was. */
  issued = 0;
  /** Transfers not completed yet: with the driver, or waiting to be sent again. */
  out = 0;
  started = false;
  /** In the queue of those that may be issued. */
  queued = false;
  /** Its client was told. */
  settled = false;
  error: AirlockError | undefined;
  /** After a restart it begins anew: what was done of it may be lost with the device's cache, and nobody has kept it. */
  redo = false;
  /** It is answered only after a flush that follows it. */
  needsFlush = false;
  /** A flush: the newest journal entry it covers. */
  mark = 0;
  /** A read: drivers that returned wrong data for it. */
  wrongs = 0;
  /** Earlier calls it has to wait for, and later ones that wait for it. */
  blockers = 0;
  dependents: BlockCall[] | undefined;
  /** Place in the list of unfinished calls, and in the order of arrival. */
  place = -1;
  order = 0;

  constructor(
    op: BlockOp, flags: number, first: number, blocks: number, data: Uint8Array | undefined, client: BlockClient | undefined,
    entry?: JournalEntry,
  ) {
    this.op = op;
    this.flags = flags;
    this.first = first;
    this.end = first + blocks;
    this.data = data;
    this.client = client;
    this.entry = entry;
  }

  get isFlush(): boolean {
    return this.op === BlockOp.flush;
  }

  /** Whether it changes what a range holds. */
  get changes(): boolean {
    return this.op !== BlockOp.read && this.op !== BlockOp.flush;
  }

  get fua(): boolean {
    return (this.flags & BlockFlag.fua) !== 0;
  }

  /** What `issued` is when all of it is handed out. */
  get units(): number {
    return this.op === BlockOp.flush ? 1 : this.end - this.first;
  }

  /** To its client, once; later outcomes are nobody's. */
  settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    if (this.error === undefined) this.client?.resolve(this.data);
    else this.client?.reject(this.error);
    return true;
  }
}

export class Transfer {
  readonly call: BlockCall;
  readonly first: number;
  readonly blocks: number;
  /** Offset of its extent of the buffers while it is with the driver; -1 without. */
  bufferAt = -1;
  /** How often the device or its driver gave it up. */
  aborts = 0;

  constructor(call: BlockCall, first: number, blocks: number) {
    this.call = call;
    this.first = first;
    this.blocks = blocks;
  }

  /** Its part of the call's data. */
  part(blockBytes: number): Uint8Array {
    const { call } = this;
    const data = call.data!;
    if (this.blocks === call.end - call.first) return data;
    const at = (this.first - call.first) * blockBytes;
    return data.subarray(at, at + this.blocks * blockBytes);
  }
}
