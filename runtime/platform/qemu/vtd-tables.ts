/**
 * The second-level page tables of one domain: IOVA -> RAM by pages of 4 KiB, three levels, in the platform's own RAM.
 * Source: Intel VT-d 3.3 (D51397), 3.7 and 9.8. Addresses are below 4 GiB on both sides, so entries' upper halves stay 0.
 */
import { AirlockError } from "../../api/errors.ts";
import type { Rights } from "../../api/grants.ts";
import { dmaPageBytes } from "../../bus/iommu.ts";
import type { TableMemory } from "./table-memory.ts";
import { Page } from "./vtd-registers.ts";

/** Bytes that one entry of each level stands for. */
const leafSpan = 2 ** 21;
const middleSpan = 2 ** 30;
const entries = 512;

/** Tables of one domain. Each leaf table serves 2 MiB, so this is 1 GiB of memory in one piece, or 500 pieces apart. */
export const maxTablesPerDomain = 512;

interface Table {
  readonly page: number;
  /** What is in the page: low and high halves in turn. We never read it back. */
  readonly words: Uint32Array;
}

export class VtdTables {
  readonly #memory: TableMemory;
  readonly #top: Table;
  readonly #middle = new Map<number, Table>();
  readonly #leaves = new Map<number, Table>();

  constructor(memory: TableMemory) {
    this.#memory = memory;
    this.#top = this.#make();
  }

  /** The top table's address, for the context entry. */
  get root(): number {
    return this.#top.page;
  }

  /** Maps whole pages that are not mapped yet. @throws AirlockError InvalidArgument beyond the budget of tables; nothing is mapped then */
  map(iova: number, ramOffset: number, sizeBytes: number, rights: Rights): void {
    this.#prepare(iova, sizeBytes);
    const bits = (rights === "write" ? 0 : Page.read) | (rights === "read" ? 0 : Page.write);
    this.#fill(iova, sizeBytes, (at) => ramOffset + (at - iova) + bits);
  }

  /** The caller invalidates what the IOMMU has cached of it. Tables stay until `release`. */
  unmap(iova: number, sizeBytes: number): void {
    this.#fill(iova, sizeBytes, () => 0);
  }

  /** Gives all pages back; the IOMMU must not use the tables any more. */
  release(): void {
    for (const { page } of [this.#top, ...this.#middle.values(), ...this.#leaves.values()]) this.#memory.release(page);
    this.#middle.clear();
    this.#leaves.clear();
  }

  /** Makes the tables for a range. A table is entered into the one above when it is ready: the IOMMU may walk at any time. */
  #prepare(iova: number, sizeBytes: number): void {
    const missing: number[] = [];
    for (let at = Math.floor(iova / leafSpan); at * leafSpan < iova + sizeBytes; at++) if (!this.#leaves.has(at)) missing.push(at);
    const missingMiddle = [...new Set(missing.map((leaf) => Math.floor((leaf * leafSpan) / middleSpan)))].filter((at) => !this.#middle.has(at));
    const wanted = missing.length + missingMiddle.length;
    if (1 + this.#middle.size + this.#leaves.size + wanted > maxTablesPerDomain || wanted > this.#memory.freePages) {
      throw new AirlockError("InvalidArgument", `mapping ${sizeBytes} bytes takes ${wanted} more tables of the IOMMU than it has for one driver; map less, or closer together`, {
        platform: "qemu",
      });
    }
    for (const at of missingMiddle) this.#middle.set(at, this.#enter(this.#top, at));
    for (const at of missing) this.#leaves.set(at, this.#enter(this.#middle.get(Math.floor((at * leafSpan) / middleSpan))!, at % entries));
  }

  #enter(above: Table, index: number): Table {
    const table = this.#make();
    above.words[index * 2] = table.page + Page.read + Page.write;
    this.#write(above, index, index + 1);
    return table;
  }

  #fill(iova: number, sizeBytes: number, entry: (at: number) => number): void {
    for (let at = iova; at < iova + sizeBytes;) {
      const leaf = this.#leaves.get(Math.floor(at / leafSpan));
      const first = (at % leafSpan) / dmaPageBytes;
      const end = Math.min(entries, first + (iova + sizeBytes - at) / dmaPageBytes);
      for (let index = first; leaf !== undefined && index < end; index++) leaf.words[index * 2] = entry(at + (index - first) * dmaPageBytes);
      if (leaf !== undefined) this.#write(leaf, first, end);
      at += (end - first) * dmaPageBytes;
    }
  }

  #make(): Table {
    return { page: this.#memory.allocate(), words: new Uint32Array(entries * 2) };
  }

  #write({ page, words }: Table, first: number, end: number): void {
    this.#memory.ram.write(page + first * 8, new Uint8Array(words.buffer, first * 8, (end - first) * 8));
  }
}
