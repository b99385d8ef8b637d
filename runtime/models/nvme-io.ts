/** NVM commands: read, write, compare, flush, write zeroes, dataset management (NVMe 1.4, 6). */
import type { NvmeCounters } from "./nvme-log.ts";
import type { NvmeNamespace } from "./nvme-options.ts";
import {
  Nvm, Status, Word, allNamespaces, deallocateAttribute, ioForceUnitAccess, maxTransferBytes, unsupportedTransferBits,
} from "./nvme-registers.ts";
import type { NvmeTransfer } from "./nvme-transfer.ts";

const rangeBytes = 16;

export interface IoCounters extends NvmeCounters {
  flushes: number;
  zeroed: number;
  deallocations: number;
}

/** Executes one command at a time, to its end. */
export class NvmeIo {
  readonly #namespaces: readonly NvmeNamespace[];
  readonly #transfer: NvmeTransfer;
  readonly #counters: IoCounters;
  /** Bytes moved or cleared by the last command: what its turn has cost. */
  cost = 0;

  constructor(namespaces: readonly NvmeNamespace[], transfer: NvmeTransfer, counters: IoCounters) {
    this.#namespaces = namespaces;
    this.#transfer = transfer;
    this.#counters = counters;
  }

  /** Returns a status. */
  execute(command: Uint32Array): number {
    this.cost = 0;
    const opcode = command[Word.opcode]! & 0xff;
    if ((command[Word.opcode]! & unsupportedTransferBits) !== 0) return Status.invalidField;
    if (opcode === Nvm.flush && command[Word.namespace] === allNamespaces) return this.#flushAll();
    const namespace = this.#namespaces[command[Word.namespace]! - 1];
    switch (opcode) {
      case Nvm.read: return namespace === undefined ? Status.invalidNamespace : this.#read(namespace, command);
      case Nvm.write: return namespace === undefined ? Status.invalidNamespace : this.#write(namespace, command);
      case Nvm.flush: return namespace === undefined ? Status.invalidNamespace : this.#flush(namespace);
      case Nvm.compare: return namespace === undefined ? Status.invalidNamespace : this.#compare(namespace, command);
      case Nvm.writeZeroes: return namespace === undefined ? Status.invalidNamespace : this.#writeZeroes(namespace, command);
      case Nvm.datasetManagement: return namespace === undefined ? Status.invalidNamespace : this.#manage(namespace, command);
      default: return Status.invalidOpcode;
    }
  }

  #read(namespace: NvmeNamespace, command: Uint32Array): number {
    const { media, blockShift } = namespace;
    const sizeBytes = ((command[Word.cdw12]! & 0xffff) + 1) * namespace.blockBytes;
    const status = this.#begin(namespace, command, sizeBytes);
    if (status !== Status.success) return status;
    const offset = firstBlock(command) * (1 << blockShift);
    // Data read with force unit access comes from what a power cut would leave (6.9).
    if ((command[Word.cdw12]! & ioForceUnitAccess) !== 0 && !media.writeBack(offset, sizeBytes)) return this.#mediaError(Status.unrecoveredRead);
    for (let done = 0; done < sizeBytes;) {
      const view = media.readable(offset + done, sizeBytes - done);
      if (view === undefined) return this.#mediaError(Status.unrecoveredRead);
      if (!this.#transfer.put(view)) return Status.dataTransferError;
      done += view.length;
    }
    this.#counters.reads++;
    this.#counters.bytesRead += sizeBytes;
    return Status.success;
  }

  #write(namespace: NvmeNamespace, command: Uint32Array): number {
    const { media, blockShift, blockBytes } = namespace;
    const sizeBytes = ((command[Word.cdw12]! & 0xffff) + 1) * blockBytes;
    const status = this.#begin(namespace, command, sizeBytes);
    if (status !== Status.success) return status;
    const offset = firstBlock(command) * (1 << blockShift);
    const through = (command[Word.cdw12]! & ioForceUnitAccess) !== 0;
    const written = this.#transfer.aligned(blockBytes)
      ? this.#writePieces(namespace, offset, sizeBytes, through)
      : this.#writeWhole(namespace, offset, sizeBytes, through);
    if (written !== Status.success) return written;
    if (through && !media.store.sync()) return this.#mediaError(Status.writeFault);
    this.#counters.writes++;
    this.#counters.bytesWritten += sizeBytes;
    return Status.success;
  }

  /** From memory to where it belongs. A failure leaves whole blocks, old or new. */
  #writePieces({ media }: NvmeNamespace, offset: number, sizeBytes: number, through: boolean): number {
    for (let done = 0; done < sizeBytes;) {
      const view = media.writable(offset + done, sizeBytes - done, through);
      if (view === undefined) return this.#mediaError(Status.writeFault);
      const got = this.#transfer.get(view);
      if (!media.written(got)) return this.#mediaError(Status.writeFault);
      if (got < view.length) return Status.dataTransferError;
      done += got;
    }
    return Status.success;
  }

  /** Through a buffer, where pages of memory end within blocks. */
  #writeWhole({ media }: NvmeNamespace, offset: number, sizeBytes: number, through: boolean): number {
    const data = this.#transfer.buffer(sizeBytes);
    if (this.#transfer.get(data) < sizeBytes) return Status.dataTransferError;
    for (let done = 0; done < sizeBytes;) {
      const view = media.writable(offset + done, sizeBytes - done, through);
      if (view === undefined) return this.#mediaError(Status.writeFault);
      view.set(data.subarray(done, done + view.length));
      if (!media.written(view.length)) return this.#mediaError(Status.writeFault);
      done += view.length;
    }
    return Status.success;
  }

  #compare(namespace: NvmeNamespace, command: Uint32Array): number {
    const sizeBytes = ((command[Word.cdw12]! & 0xffff) + 1) * namespace.blockBytes;
    const status = this.#begin(namespace, command, sizeBytes);
    if (status !== Status.success) return status;
    const offset = firstBlock(command) * namespace.blockBytes;
    const data = this.#transfer.buffer(sizeBytes);
    if (this.#transfer.get(data) < sizeBytes) return Status.dataTransferError;
    for (let done = 0; done < sizeBytes;) {
      const view = namespace.media.readable(offset + done, sizeBytes - done);
      if (view === undefined) return this.#mediaError(Status.unrecoveredRead);
      if (Buffer.compare(view, data.subarray(done, done + view.length)) !== 0) return Status.compareFailure;
      done += view.length;
    }
    return Status.success;
  }

  #flush({ media }: NvmeNamespace): number {
    this.#counters.flushes++;
    this.cost = media.cachedBlocks * 512;
    return media.flush() ? Status.success : this.#mediaError(Status.writeFault);
  }

  #flushAll(): number {
    let status: number = Status.success;
    let cost = 0;
    for (const namespace of this.#namespaces) {
      const one = this.#flush(namespace);
      cost += this.cost;
      if (one !== Status.success) status = one;
    }
    this.cost = cost;
    return status;
  }

  /** Deallocating or not (DEAC), the blocks read as zeros, and are safe at once (6.16). */
  #writeZeroes(namespace: NvmeNamespace, command: Uint32Array): number {
    const blocks = (command[Word.cdw12]! & 0xffff) + 1;
    if (!fits(namespace, firstBlock(command), blocks)) return Status.lbaOutOfRange;
    this.cost = blocks * namespace.blockBytes;
    if (!namespace.media.zero(firstBlock(command) * namespace.blockBytes, this.cost)) return this.#mediaError(Status.writeFault);
    this.#counters.zeroed += blocks;
    return Status.success;
  }

  /** Ranges of 16 bytes: attributes, blocks, first block (6.7). All are checked before any is deallocated. */
  #manage(namespace: NvmeNamespace, command: Uint32Array): number {
    const ranges = (command[Word.cdw10]! & 0xff) + 1;
    const status = this.#transfer.load(command, ranges * rangeBytes);
    if (status !== Status.success) return status;
    const data = this.#transfer.buffer(ranges * rangeBytes);
    if (this.#transfer.get(data) < data.length) return Status.dataTransferError;
    this.cost = maxTransferBytes;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    for (let at = 0; at < data.length; at += rangeBytes) {
      if (!fits(namespace, rangeStart(view, at), view.getUint32(at + 4, true))) return Status.lbaOutOfRange;
    }
    if ((command[Word.cdw11]! & deallocateAttribute) === 0) return Status.success;
    for (let at = 0; at < data.length; at += rangeBytes) {
      const blocks = view.getUint32(at + 4, true);
      if (blocks > 0) namespace.media.discard(rangeStart(view, at) * namespace.blockBytes, blocks * namespace.blockBytes);
    }
    this.#counters.deallocations++;
    return Status.success;
  }

  /** Checks length and place, and takes the memory; the order is that of what costs least. */
  #begin(namespace: NvmeNamespace, command: Uint32Array, sizeBytes: number): number {
    if (sizeBytes > maxTransferBytes) return Status.invalidField;
    if (!fits(namespace, firstBlock(command), (command[Word.cdw12]! & 0xffff) + 1)) return Status.lbaOutOfRange;
    this.cost = sizeBytes;
    return this.#transfer.load(command, sizeBytes);
  }

  #mediaError(status: number): number {
    this.#counters.mediaErrors++;
    return status;
  }
}

/** Exact where it matters: beyond 2^53 no namespace has blocks. */
function firstBlock(command: Uint32Array): number {
  return command[Word.cdw11]! * 2 ** 32 + command[Word.cdw10]!;
}

function rangeStart(view: DataView, at: number): number {
  return view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true);
}

function fits({ blocks }: NvmeNamespace, first: number, count: number): boolean {
  return first + count <= blocks;
}
