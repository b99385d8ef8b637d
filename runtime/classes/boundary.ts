/** The border a driver's messages cross: judges every record against the class contract before anything acts on it. */
import type { ClassContract, EventKind, Operation } from "../api/contract.ts";
import { type MessageRecord, RecordKind } from "../api/records.ts";

/** What a record turned out to be. A violation is a failure of the driver; nothing of the record reaches a client. */
export type Examined =
  | { readonly kind: "reply"; readonly tag: number; readonly operation: Operation; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "event"; readonly event: EventKind; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "violation"; readonly reason: string };

/** Tags are 32 bits on the wire; 0 is never issued, so that a zeroed record matches nothing. */
const lastTag = 0xffff_ffff;

/**
 * Issues the tags of one driver's requests and examines what comes back. Tags are not reused by the next generation, so
 * an answer of an old one matches nothing.
 */
export class Boundary {
  readonly #contract: ClassContract;
  readonly #open = new Map<number, Operation>();
  #nextTag = 1;
  #firstTag = 1;

  constructor(contract: ClassContract) {
    this.#contract = contract;
  }

  /** A tag for a request about to be sent. */
  issue(operation: Operation): number {
    const tag = this.#nextTag;
    this.#nextTag = tag === lastTag ? 1 : tag + 1;
    this.#open.set(tag, operation);
    return tag;
  }

  /** Takes back a tag whose request was not sent after all. */
  withdraw(tag: number): void {
    this.#open.delete(tag);
  }

  /** A generation ended: none of its requests can be answered any more. */
  reset(): void {
    this.#open.clear();
    this.#firstTag = this.#nextTag;
  }

  /** Judges one record, framing already checked. A valid reply uses its tag up. Never throws. */
  examine(record: MessageRecord): Examined {
    if (record.kind === RecordKind.reply) return this.#reply(record);
    if (record.kind === RecordKind.event) return this.#event(record);
    return violation(`a record of kind ${record.kind}, which is neither a reply nor an event`);
  }

  #reply(record: MessageRecord): Examined {
    const operation = this.#open.get(record.tag);
    if (operation === undefined) {
      const issued = record.tag >= this.#firstTag && record.tag < this.#nextTag;
      return violation(issued ? `a second answer with tag ${record.tag}` : `an answer with tag ${record.tag}, which was never asked`);
    }
    if (record.id !== operation.id) {
      const claimed = this.#contract.operationList[record.id]?.name ?? `operation ${record.id}`;
      return violation(`an answer to ${claimed} with tag ${record.tag}, which asked for ${operation.name}`);
    }
    const decoded = operation.reply.decode(record.payload);
    if (!decoded.ok) return violation(`a malformed answer to ${operation.name}: ${decoded.reason}`);
    this.#open.delete(record.tag);
    return { kind: "reply", tag: record.tag, operation, value: decoded.value };
  }

  #event(record: MessageRecord): Examined {
    const event = this.#contract.eventList[record.id];
    if (event === undefined) return violation(`an event ${record.id}, which the class ${this.#contract.name} does not have`);
    if (record.tag !== 0) return violation(`an event ${event.name} with tag ${record.tag}; events have none`);
    const decoded = event.payload.decode(record.payload);
    if (!decoded.ok) return violation(`a malformed event ${event.name}: ${decoded.reason}`);
    return { kind: "event", event, value: decoded.value };
  }
}

function violation(reason: string): Examined {
  return { kind: "violation", reason };
}
