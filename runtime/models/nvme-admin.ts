/** Admin commands of an NVMe controller (NVMe 1.4, 5). */
import type { DmaPort } from "../bus/device.ts";
import type { NvmeEvents } from "./nvme-events.ts";
import type { NvmeFeatures } from "./nvme-features.ts";
import { Cns, activeNamespaces, identifyBytes, identifyController, identifyNamespace, namespaceDescriptors } from "./nvme-identify.ts";
import type { NvmeLogs } from "./nvme-log.ts";
import type { NvmeNamespace } from "./nvme-options.ts";
import { type NvmeQueues, type SubmissionQueue, waiting } from "./nvme-queues.ts";
import {
  Admin, EventInfo, EventType, Feature, Log, Status, Word, abortLimit, maxTransferBytes, temperatureWarning, unsupportedTransferBits,
} from "./nvme-registers.ts";
import type { NvmeTransfer } from "./nvme-transfer.ts";

/** Instead of a status: the command completes later, when there is an event. */
export const deferred = -1;

/** Bytes of a submission queue entry. */
const entryBytes = 64;

export interface AdminParts {
  readonly dma: DmaPort;
  readonly transfer: NvmeTransfer;
  readonly queues: NvmeQueues;
  readonly features: NvmeFeatures;
  readonly logs: NvmeLogs;
  readonly events: NvmeEvents;
  readonly namespaces: readonly NvmeNamespace[];
  readonly serial: string;
  readonly hasCache: boolean;
}

/** Executes one command at a time, to its end. */
export class NvmeAdmin {
  readonly #parts: AdminParts;
  /** Commands to be aborted when they are fetched: queue number and command identifier in one word. */
  readonly #aborts: number[] = [];
  readonly #word = new Uint32Array(1);
  readonly #wordBytes = new Uint8Array(this.#word.buffer);
  /** DW0 of the completion. */
  result = 0;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  /** Returns a status, or `deferred`. */
  execute(command: Uint32Array): number {
    const { queues, transfer, features } = this.#parts;
    this.result = 0;
    if ((command[Word.opcode]! & unsupportedTransferBits) !== 0) return Status.invalidField;
    switch (command[Word.opcode]! & 0xff) {
      case Admin.identify: return this.#identify(command);
      case Admin.createCompletionQueue: return queues.createCompletion(command, transfer.pageBytes, features.grantedQueues);
      case Admin.createSubmissionQueue: return queues.createSubmission(command, transfer.pageBytes, features.grantedQueues);
      case Admin.deleteSubmissionQueue: return this.#deleteSubmission(command);
      case Admin.deleteCompletionQueue: return queues.deleteCompletion(command);
      case Admin.getFeatures: return this.#getFeature(command);
      case Admin.setFeatures: return this.#setFeature(command);
      case Admin.getLogPage: return this.#getLogPage(command);
      case Admin.abort: return this.#abort(command);
      case Admin.asyncEventRequest: return this.#parts.events.wait(command[Word.opcode]! >>> 16) ? deferred : Status.asyncEventLimit;
      default: return Status.invalidOpcode;
    }
  }

  /** Whether a command that was just fetched is to be aborted instead. */
  takeAbort(queueId: number, command: Uint32Array): boolean {
    if (this.#aborts.length === 0) return false;
    const index = this.#aborts.indexOf(abortKey(queueId, command[Word.opcode]! >>> 16));
    if (index >= 0) this.#aborts.splice(index, 1);
    return index >= 0;
  }

  clear(): void {
    this.#aborts.length = 0;
  }

  #identify(command: Uint32Array): number {
    const { namespaces, serial, hasCache } = this.#parts;
    const id = command[Word.namespace]!;
    const namespace = namespaces[id - 1];
    switch (command[Word.cdw10]! & 0xff) {
      case Cns.controller: return this.#send(command, identifyController(serial, namespaces.length, hasCache), identifyBytes);
      case Cns.namespace:
        return namespace === undefined ? Status.invalidNamespace : this.#send(command, identifyNamespace(namespace, serial), identifyBytes);
      case Cns.activeNamespaces:
        return id >= 0xffff_fffe ? Status.invalidNamespace : this.#send(command, activeNamespaces(id, namespaces.length), identifyBytes);
      case Cns.descriptors:
        return namespace === undefined ? Status.invalidNamespace : this.#send(command, namespaceDescriptors(serial, id), identifyBytes);
      default: return Status.invalidField;
    }
  }

  #deleteSubmission(command: Uint32Array): number {
    const id = command[Word.cdw10]! & 0xffff;
    const status = this.#parts.queues.deleteSubmission(command);
    for (let at = this.#aborts.length; status === Status.success && at-- > 0;) if (this.#aborts[at]! >>> 16 === id) this.#aborts.splice(at, 1);
    return status;
  }

  #getFeature(command: Uint32Array): number {
    const status = this.#parts.features.get(command);
    this.result = this.#parts.features.result;
    return status;
  }

  /** A threshold set below the temperature is reported where the driver wants to hear of it (5.21.1.4). */
  #setFeature(command: Uint32Array): number {
    const { features, events } = this.#parts;
    const status = features.set(command);
    this.result = features.result;
    const feature = command[Word.cdw10]! & 0xff;
    const concerns = feature === Feature.temperatureThreshold || feature === Feature.asyncEvents;
    if (status === Status.success && concerns && features.temperatureBeyond && (features.reportedWarnings & temperatureWarning) !== 0) {
      events.raise(EventType.health, EventInfo.temperatureThreshold, Log.health);
    }
    return status;
  }

  /** CDW10: page, retain event (15), dwords less one; CDW11: their high half; CDW12 and 13: offset (5.14). */
  #getLogPage(command: Uint32Array): number {
    const { logs, features, events } = this.#parts;
    const word = command[Word.cdw10]!;
    const sizeBytes = ((command[Word.cdw11]! & 0xffff) * 0x1_0000 + (word >>> 16) + 1) * 4;
    const offset = command[Word.cdw13]! * 2 ** 32 + command[Word.cdw12]!;
    const log = word & 0xff;
    const page = logs.page(log, features.temperatureBeyond);
    if (page === undefined) return Status.invalidLogPage;
    if (sizeBytes > maxTransferBytes || offset % 4 !== 0 || offset > page.length) return Status.invalidField;
    const status = this.#send(command, page.subarray(offset, offset + sizeBytes), sizeBytes);
    if (status === Status.success && (word & (1 << 15)) === 0) {
      if (log === Log.errors) events.acknowledge(EventType.error);
      if (log === Log.health) events.acknowledge(EventType.health);
    }
    return status;
  }

  /** DW0 bit 0 of the completion: the command was not aborted (5.1). Commands that wait, for events or to be fetched, can be. */
  #abort(command: Uint32Array): number {
    const queueId = command[Word.cdw10]! & 0xffff;
    const commandId = command[Word.cdw10]! >>> 16;
    this.result = 1;
    const queue = this.#parts.queues.submission[queueId];
    if (queue === undefined) return Status.success;
    if (queueId === 0 && this.#parts.events.abort(commandId)) {
      this.result = 0;
      return Status.success;
    }
    const key = abortKey(queueId, commandId);
    if (this.#aborts.length >= abortLimit || this.#aborts.includes(key) || !this.#isWaiting(queue, commandId)) return Status.success;
    this.#aborts.push(key);
    this.result = 0;
    return Status.success;
  }

  /** Looks for a command in the part of a queue that was not fetched. */
  #isWaiting(queue: SubmissionQueue, commandId: number): boolean {
    const { address, entries, head } = queue;
    const count = waiting(queue);
    for (let index = 0; index < count; index++) {
      if (!this.#parts.dma.read(address + ((head + index) % entries) * entryBytes, this.#wordBytes)) return false;
      if (this.#word[0]! >>> 16 === commandId) return true;
    }
    return false;
  }

  /** Sends a structure; what the host asked for beyond its end stays as it is in memory. */
  #send(command: Uint32Array, bytes: Uint8Array, sizeBytes: number): number {
    const status = this.#parts.transfer.load(command, sizeBytes);
    if (status !== Status.success) return status;
    return this.#parts.transfer.put(bytes) ? Status.success : Status.dataTransferError;
  }
}

function abortKey(queueId: number, commandId: number): number {
  return queueId * 0x1_0000 + commandId;
}
