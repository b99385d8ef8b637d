/** Asynchronous events of an NVMe controller, and the commands that wait for them (NVMe 1.4, 5.2). */
import { Status, asyncEventLimit } from "./nvme-registers.ts";

interface Event {
  readonly type: number;
  readonly info: number;
  readonly log: number;
}

/** Events that are kept while nobody waits: there are few kinds, and the same is kept once. */
const keptEvents = 8;

/** A type that was reported is masked until its log page is read. */
export class NvmeEvents {
  readonly #waiting: number[] = [];
  /** Commands that no longer wait and have not completed. */
  readonly #aborted: number[] = [];
  #events: Event[] = [];
  #masked = 0;

  /** A command waits for an event. False: as many as are allowed wait already. */
  wait(commandId: number): boolean {
    if (this.#waiting.length + this.#aborted.length >= asyncEventLimit) return false;
    this.#waiting.push(commandId);
    return true;
  }

  /** Ends the wait of a command, which completes as aborted. False: it does not wait. */
  abort(commandId: number): boolean {
    const index = this.#waiting.indexOf(commandId);
    if (index >= 0) this.#aborted.push(...this.#waiting.splice(index, 1));
    return index >= 0;
  }

  raise(type: number, info: number, log: number): void {
    const known = this.#events.some((event) => event.type === type && event.info === info);
    if (!known && this.#events.length < keptEvents) this.#events.push({ type, info, log });
  }

  /** The next command to complete: as aborted, or with an event in DW0 of its completion. */
  take(): { commandId: number; status: number; result: number } | undefined {
    const aborted = this.#aborted.shift();
    if (aborted !== undefined) return { commandId: aborted, status: Status.abortRequested, result: 0 };
    if (this.#waiting.length === 0) return undefined;
    const event = this.#events.find(({ type }) => (this.#masked & (1 << type)) === 0);
    if (event === undefined) return undefined;
    this.#events = this.#events.filter((other) => other !== event);
    this.#masked |= 1 << event.type;
    return { commandId: this.#waiting.shift()!, status: Status.success, result: event.type | (event.info << 8) | (event.log << 16) };
  }

  /** A type's log page was read without being told to retain its event. */
  acknowledge(type: number): void {
    this.#masked &= ~(1 << type);
    this.#events = this.#events.filter((event) => event.type !== type);
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#aborted.length = 0;
    this.#events = [];
    this.#masked = 0;
  }
}
