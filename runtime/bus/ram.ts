/** The RAM that devices reach by DMA: one file or shared buffer, of which each thread makes its own view. */

/** How to reach a platform's RAM from any thread of this process: plain data. */
export interface RamHandle {
  readonly sizeBytes: number;
  /** First byte that may be handed out; what lies below is the platform's own. A multiple of the page size. */
  readonly firstFreeOffset: number;
  /** A file that can be mapped: a memfd, or QEMU's RAM file. */
  readonly fd?: number;
  /** Memory without a file, where the native addon is missing and no other process needs it. */
  readonly shared?: SharedArrayBuffer;
}

/** One thread's way to the RAM. Offsets and sizes are checked: RangeError beyond the end. */
export interface RamAccess {
  readonly sizeBytes: number;
  /** A live view, where this thread can have one; undefined where only copies are possible. */
  view(offset: number, sizeBytes: number): Uint8Array | undefined;
  read(offset: number, into: Uint8Array): void;
  write(offset: number, from: Uint8Array): void;
  close(): void;
}
