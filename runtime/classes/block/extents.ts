/**
 * Which parts of the class's buffers are in use. A buddy allocator: extents are powers of two of pages and merge again when both
 * halves are free, so that small requests never break up the space for good, however long they go on.
 */

/** Extents begin and end at pages, the unit of DMA. */
export const pageBytes = 4_096;

/** Larger transfers gain nothing: at 1 MiB the cost of a request is far below that of its data. */
const largestUsefulBytes = 1_048_576;

const none = -1;

export class Extents {
  /** The largest extent there is; a whole number of pages. */
  readonly largestBytes: number;
  readonly #largestOrder: number;
  /** By first page: order + 1 of a free extent, 0 otherwise. */
  readonly #free: Uint8Array;
  /** By first page: order + 1 of a taken extent, 0 otherwise. */
  readonly #taken: Uint8Array;
  // Free extents of each order, as linked lists of first pages.
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #takenBytes = 0;

  /** However large one is, there is always room for `leastExtents`. */
  constructor(sizeBytes: number, leastExtents: number) {
    const pages = Math.floor(sizeBytes / pageBytes);
    if (pages < 1) throw new RangeError(`buffers of ${sizeBytes} bytes have no page`);
    this.#largestOrder = Math.floor(Math.log2(Math.max(1, Math.min(pages / leastExtents, largestUsefulBytes / pageBytes))));
    this.largestBytes = pageBytes << this.#largestOrder;
    this.#free = new Uint8Array(pages);
    this.#taken = new Uint8Array(pages);
    this.#heads = new Int32Array(this.#largestOrder + 1).fill(none);
    this.#next = new Int32Array(pages);
    this.#previous = new Int32Array(pages);
    for (let page = pages; page > 0;) {
      // Aligned, from the end: what does not fill a largest extent becomes smaller ones.
      const order = Math.min(this.#largestOrder, 31 - Math.clz32(page & -page));
      page -= 1 << order;
      this.#link(page, order);
    }
  }

  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Offset of an extent of at least this size; -1 when none is free. At most `largestBytes`. */
  take(sizeBytes: number): number {
    const order = sizeBytes <= pageBytes ? 0 : 32 - Math.clz32(Math.ceil(sizeBytes / pageBytes) - 1);
    let found = order;
    while (found <= this.#largestOrder && this.#heads[found] === none) found++;
    if (found > this.#largestOrder) return -1;
    const page = this.#heads[found]!;
    this.#unlink(page, found);
    while (found > order) {
      found--;
      this.#link(page + (1 << found), found);
    }
    this.#taken[page] = order + 1;
    this.#takenBytes += pageBytes << order;
    return page * pageBytes;
  }

  /** Gives an extent back. */
  give(offset: number): void {
    let page = offset / pageBytes;
    let order = this.#taken[page]! - 1;
    if (!(order >= 0)) throw new Error(`no extent is taken at ${offset}`);
    this.#taken[page] = 0;
    this.#takenBytes -= pageBytes << order;
    for (; order < this.#largestOrder; order++) {
      const buddy = page ^ (1 << order);
      if (this.#free[buddy] !== order + 1) break;
      this.#unlink(buddy, order);
      page &= ~(1 << order);
    }
    this.#link(page, order);
  }

  #link(page: number, order: number): void {
    const head = this.#heads[order]!;
    this.#free[page] = order + 1;
    this.#next[page] = head;
    this.#previous[page] = none;
    if (head !== none) this.#previous[head] = page;
    this.#heads[order] = page;
  }

  #unlink(page: number, order: number): void {
    const next = this.#next[page]!;
    const previous = this.#previous[page]!;
    this.#free[page] = 0;
    if (previous === none) this.#heads[order] = next;
    else this.#next[previous] = next;
    if (next !== none) this.#previous[next] = previous;
  }
}
