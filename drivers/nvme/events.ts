/** Asynchronous events: kept outstanding, told as the class's notices. Source: NVM Express Base Specification 1.4, sections 5.2 and 5.14. */
import type { DriverContext } from "airlock/driver";
import type { block } from "airlock/driver/block";
import type { AdminQueue } from "./admin-queue.ts";
import { AdminOpcode, EventType, Feature, allNamespaces, healthWarnings, namespaceNotices, noticeNamespace } from "./commands.ts";
import type { ControllerInfo } from "./identify.ts";

type Context = DriverContext<typeof block>;

/** Requests kept at the controller: one for each type of event, should they come together. */
const wantedRequests = 4;
/**
 * An event's request is given back after this time, so that a device that has events without end tells a few per second and
 * no more. A condition that lasts is reported again with each request.
 */
const rearmMs = 1_000;
/** 128 words of the log page, one less in the command: reading any of it lets the next event of its kind come (5.2). */
const logWords = 127;
/** The page that log pages go to; their contents are not looked at. */
const logDataPage = 2;

export class Events {
  readonly #context: Context;
  readonly #admin: AdminQueue;
  readonly #changed: () => void;
  /** Which enabling of the controller this is: requests of an earlier one are not given back. */
  #epoch = 0;

  /** `changed` is called when the namespaces have changed, instead of a notice. */
  constructor(context: Context, admin: AdminQueue, changed: () => void) {
    this.#context = context;
    this.#admin = admin;
    this.#changed = changed;
  }

  /** Tells a controller that was just enabled which events are wanted, and gives it requests for them. */
  arm(info: ControllerInfo): void {
    this.#epoch++;
    const cdw11 = healthWarnings | (info.eventMask & namespaceNotices);
    // A controller that refuses has its events on or off as it likes; both will do.
    this.#admin.submit({ opcode: AdminOpcode.setFeatures, cdw10: Feature.asyncEvents, cdw11 }, () => undefined);
    const requests = Math.min(wantedRequests, info.maxAsyncEvents);
    for (let count = 0; count < requests; count++) this.#request();
  }

  #request(): void {
    const epoch = this.#epoch;
    this.#admin.submit({ opcode: AdminOpcode.asyncEvent }, (status, result) => {
      if (status !== 0 || epoch !== this.#epoch) return;
      this.#tell(result);
      this.#clear((result >>> 16) & 0xff);
      this.#context.clock.after(rearmMs, () => { if (epoch === this.#epoch && this.#admin.hasRoom) this.#request(); });
    }, true);
  }

  #tell(result: number): void {
    const type = result & 0x7;
    if (type === EventType.notice && ((result >>> 8) & 0xff) === noticeNamespace) return this.#changed();
    const kind = type === EventType.error ? "error" : type === EventType.health ? "health" : "changed";
    this.#context.emit("notice", { kind, code: result });
  }

  #clear(page: number): void {
    if (!this.#admin.hasRoom) return;
    const command = {
      opcode: AdminOpcode.getLogPage, namespace: allNamespaces, iova: this.#admin.pageIova(logDataPage), cdw10: page | (logWords << 16),
    };
    this.#admin.submit(command, () => undefined);
  }

  /** The controller is about to be reset: its requests end without events. */
  disarm(): void {
    this.#epoch++;
  }
}
