/** Acknowledged changes that no flush has covered yet: what a device may lose with its volatile cache, in order, bounded. */
import type { BlockOp } from "./contract.ts";
import { JournalMemory, type JournalPlace } from "./journal-memory.ts";

export interface JournalEntry {
  readonly op: BlockOp;
  readonly flags: number;
  /** In blocks. */
  readonly first: number;
  readonly blocks: number;
  /** What was written; undefined for zeroes and discards. */
  readonly data: Uint8Array | undefined;
  readonly place: JournalPlace | undefined;
  /** Position in the order of acknowledgement. */
  readonly mark: number;
  /** A later entry holds all of its range, or a flush covered it. */
  dropped: boolean;
}

/** What an entry takes beside its data. */
const entryBytes = 256;

/** Dropped entries that may lie about before the list is cleared of them. */
const droppedKept = 1_024;

export class Journal {
  readonly #limitBytes: number;
  #entries: JournalEntry[] = [];
  /** Entries before this one are dropped. */
  #head = 0;
  #live = 0;
  /** The newest entry that begins at a block. */
  readonly #byFirst = new Map<number, JournalEntry>();
  #bytes = 0;
  #newest = 0;
  /** From the first data on. */
  #memory: JournalMemory | undefined;

  /** `limitBytes`: 0, which keeps nothing, or at least a page of 4096 bytes. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get isEmpty(): boolean {
    return this.#live === 0;
  }

  /** Entries that would be made again. */
  get length(): number {
    return this.#live;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isHalfFull(): boolean {
    return Math.max(this.#bytes, this.#memory?.takenBytes ?? 0) * 2 >= this.#limitBytes;
  }

  /** The newest entry's mark: what a flush sent now covers, and all before it. */
  get newest(): number {
    return this.#newest;
  }

  /** Keeps a change that was just completed, and a copy of its data; false when there is no room. Entries it covers are dropped. */
  add(op: BlockOp, flags: number, first: number, blocks: number, data: Uint8Array | undefined): boolean {
    const before = this.#byFirst.get(first);
    const covered = before !== undefined && before.blocks <= blocks ? before : undefined;
    const cost = entryBytes + (data?.length ?? 0);
    if (this.#bytes + cost - (covered === undefined ? 0 : costOf(covered)) > this.#limitBytes) return false;
    const place = data === undefined ? undefined : this.#put(data, covered);
    if (place === undefined && data !== undefined) return false;
    if (covered?.dropped === false) this.#drop(covered);
    const entry: JournalEntry = { op, flags, first, blocks, data: place?.data, place, mark: ++this.#newest, dropped: false };
    this.#entries.push(entry);
    this.#byFirst.set(first, entry);
    this.#live++;
    this.#bytes += cost;
    if (this.#entries.length - this.#live > this.#live + droppedKept) this.#compact();
    return true;
  }

  /** A flush that covers entries up to this mark has completed. */
  trim(mark: number): void {
    while (this.#head < this.#entries.length && this.#entries[this.#head]!.mark <= mark) this.drop(this.#entries[this.#head++]!);
    if (this.#head === this.#entries.length || this.#head > this.#live + droppedKept) this.#compact();
  }

  /** The entries in order; a copy, since entries may be dropped while they are made again. */
  live(): JournalEntry[] {
    return this.#entries.filter(({ dropped }) => !dropped);
  }

  /** Forgets one entry. Idempotent. */
  drop(entry: JournalEntry): void {
    if (!entry.dropped) this.#drop(entry);
  }

  clear(): void {
    this.trim(this.#newest);
  }

  /** Copies the data, into the place of an entry that is covered where there is no other. */
  #put(data: Uint8Array, covered: JournalEntry | undefined): JournalPlace | undefined {
    this.#memory ??= new JournalMemory(this.#limitBytes);
    const place = this.#memory.put(data);
    if (place !== undefined || covered?.place === undefined || !this.#memory.fits(covered.place, data)) return place;
    this.#drop(covered);
    return this.#memory.put(data);
  }

  #drop(entry: JournalEntry): void {
    entry.dropped = true;
    if (entry.place !== undefined) this.#memory!.give(entry.place);
    this.#live--;
    this.#bytes -= costOf(entry);
    if (this.#byFirst.get(entry.first) === entry) this.#byFirst.delete(entry.first);
  }

  #compact(): void {
    this.#entries = this.live();
    this.#head = 0;
  }
}

function costOf(entry: JournalEntry): number {
  return entryBytes + (entry.data?.length ?? 0);
}
