/** Makes RAM for devices, and opens it in each thread that reaches it. */
import { closeSync, readSync, writeSync } from "node:fs";
import { AirlockError } from "../api/errors.ts";
import { dmaPageBytes } from "../bus/iommu.ts";
import type { RamAccess, RamHandle } from "../bus/ram.ts";
import { type NativeAddon, loadAddon } from "./addon.ts";

/** The addon, or false to do without it. */
export type AddonChoice = NativeAddon | false;

/**
 * Zeroed RAM of whole pages: a memfd with the addon, which other processes can map too, else a SharedArrayBuffer. Give it back with
 * `freeRam`.
 */
export function createRam(sizeBytes: number, firstFreeOffset: number, addon: AddonChoice = addonIfBuilt()): RamHandle {
  checkRange(firstFreeOffset, 0, sizeBytes);
  if (sizeBytes % dmaPageBytes !== 0) throw new RangeError(`RAM has whole pages of ${dmaPageBytes} bytes, not ${sizeBytes} bytes`);
  if (addon === false) return { sizeBytes, firstFreeOffset, shared: new SharedArrayBuffer(sizeBytes) };
  return { sizeBytes, firstFreeOffset, fd: addon.createSharedMemory("airlock-ram", sizeBytes) };
}

/** Closes the file of `createRam`. Threads that have it mapped keep what they have. */
export function freeRam({ fd }: RamHandle): void {
  if (fd !== undefined) closeSync(fd);
}

/** This thread's way to the RAM. A file is mapped as a whole, once, at the first access; without the addon it is read and written. */
export function openRam(handle: RamHandle, addon: AddonChoice = addonIfBuilt()): RamAccess {
  if (handle.shared !== undefined) return new MappedRam(handle.sizeBytes, new Uint8Array(handle.shared, 0, handle.sizeBytes));
  if (handle.fd === undefined) throw new TypeError("RAM has a file or is shared memory");
  if (addon === false) return new FileRam(handle.sizeBytes, handle.fd);
  const { fd, sizeBytes } = handle;
  return new MappedRam(sizeBytes, () => addon.mapShared(fd, 0, sizeBytes, true), (buffer) => addon.unmapShared(buffer));
}

/** The addon if there is one; what is wrong with it is said by those who need it. */
function addonIfBuilt(): AddonChoice {
  try {
    return loadAddon();
  } catch (error) {
    if (error instanceof AirlockError && error.code === "AddonMissing") return false;
    throw error;
  }
}

/** RAM that this thread sees as memory. */
class MappedRam implements RamAccess {
  readonly sizeBytes: number;
  readonly #map: () => ArrayBuffer;
  readonly #unmap: (buffer: ArrayBuffer) => void;
  #bytes: Uint8Array | undefined;
  #closed = false;

  constructor(sizeBytes: number, source: Uint8Array | (() => ArrayBuffer), unmap: (buffer: ArrayBuffer) => void = () => undefined) {
    this.sizeBytes = sizeBytes;
    this.#bytes = typeof source === "function" ? undefined : source;
    this.#map = typeof source === "function" ? source : () => new ArrayBuffer(0);
    this.#unmap = unmap;
  }

  view(offset: number, sizeBytes: number): Uint8Array {
    checkRange(offset, sizeBytes, this.sizeBytes);
    const bytes = this.#open();
    return new Uint8Array(bytes.buffer, bytes.byteOffset + offset, sizeBytes);
  }

  read(offset: number, into: Uint8Array): void {
    checkRange(offset, into.length, this.sizeBytes);
    into.set(this.#open().subarray(offset, offset + into.length));
  }

  write(offset: number, from: Uint8Array): void {
    checkRange(offset, from.length, this.sizeBytes);
    this.#open().set(from, offset);
  }

  close(): void {
    const bytes = this.#bytes;
    this.#closed = true;
    this.#bytes = undefined;
    if (bytes !== undefined && bytes.buffer instanceof ArrayBuffer) this.#unmap(bytes.buffer);
  }

  #open(): Uint8Array {
    if (this.#closed) throw closed();
    this.#bytes ??= new Uint8Array(this.#map());
    return this.#bytes;
  }
}

/** RAM that this thread reaches by system calls: the file and its mappings in other threads are the same pages. */
class FileRam implements RamAccess {
  readonly sizeBytes: number;
  readonly #fd: number;
  #closed = false;

  constructor(sizeBytes: number, fd: number) {
    this.sizeBytes = sizeBytes;
    this.#fd = fd;
  }

  view(offset: number, sizeBytes: number): undefined {
    checkRange(offset, sizeBytes, this.sizeBytes);
  }

  read(offset: number, into: Uint8Array): void {
    this.#transfer((...range) => readSync(this.#fd, into, ...range), offset, into.length);
  }

  write(offset: number, from: Uint8Array): void {
    this.#transfer((...range) => writeSync(this.#fd, from, ...range), offset, from.length);
  }

  close(): void {
    this.#closed = true;
  }

  /** A system call may transfer less than it was asked for. */
  #transfer(call: (start: number, sizeBytes: number, position: number) => number, offset: number, sizeBytes: number): void {
    if (this.#closed) throw closed();
    checkRange(offset, sizeBytes, this.sizeBytes);
    for (let done = 0; done < sizeBytes;) {
      const count = call(done, sizeBytes - done, offset + done);
      if (count === 0) throw new RangeError(`the RAM's file ends at ${offset + done}, its size is ${this.sizeBytes}`);
      done += count;
    }
  }
}

function closed(): AirlockError {
  return new AirlockError("Closed", "the RAM is closed in this thread; open it again with openRam");
}

function checkRange(offset: number, sizeBytes: number, limit: number): void {
  const isRange = Number.isSafeInteger(offset) && Number.isSafeInteger(sizeBytes) && Number.isSafeInteger(limit) && offset >= 0 && sizeBytes >= 0;
  if (!isRange || offset > limit - sizeBytes) throw new RangeError(`${sizeBytes} bytes at ${offset} are not within RAM of ${limit} bytes`);
}
