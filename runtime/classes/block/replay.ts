/** The journal made again on a device that may have lost its cache, before anything else is asked of it. */
import { BlockCall, Transfer } from "./block-call.ts";
import type { JournalEntry } from "./journal.ts";

export class Replay {
  readonly #entries: readonly JournalEntry[];
  /** Sends a transfer; false when there is no room. */
  readonly #send: (transfer: Transfer) => boolean;
  readonly #maxBlocks: number;
  #next = 0;
  /** Under way; the last one may not be handed out wholly yet. */
  readonly #active: BlockCall[] = [];
  /** Given up by the device, to be sent again. */
  readonly #again: Transfer[] = [];

  constructor(entries: readonly JournalEntry[], maxBlocks: number, send: (transfer: Transfer) => boolean) {
    this.#entries = entries;
    this.#maxBlocks = maxBlocks;
    this.#send = send;
  }

  get isDone(): boolean {
    return this.#next === this.#entries.length && this.#active.length === 0;
  }

  /** Hands out as much as there is room for. Entries that overlap go one after the other: the last one's data has to stay. */
  pump(): void {
    while (this.#again.length > 0) {
      if (!this.#send(this.#again[0]!)) return;
      this.#again.shift();
    }
    for (;;) {
      let call = this.#active.at(-1);
      if (call === undefined || call.issued === call.units) {
        const entry = this.#entries[this.#next];
        if (entry === undefined || this.#active.some(({ first, end }) => first < entry.first + entry.blocks && entry.first < end)) return;
        this.#next++;
        call = new BlockCall(entry.op, entry.flags, entry.first, entry.blocks, entry.data, undefined, entry);
        this.#active.push(call);
      }
      const blocks = Math.min(this.#maxBlocks, call.units - call.issued);
      if (!this.#send(new Transfer(call, call.first + call.issued, blocks))) return;
      call.issued += blocks;
      call.out++;
    }
  }

  /** A transfer is to be sent once more. */
  again(transfer: Transfer): void {
    this.#again.push(transfer);
  }

  /** A transfer is over, well or not. */
  done({ call }: Transfer): void {
    if (--call.out > 0 || call.issued < call.units) return;
    this.#active.splice(this.#active.indexOf(call), 1);
  }
}
