/** Pages of the platform's own RAM: for the IOMMU's tables and for messages. No device reaches them but where it is said here. */
import { AirlockError } from "../../api/errors.ts";
import { dmaPageBytes } from "../../bus/iommu.ts";
import type { RamAccess } from "../../bus/ram.ts";

const zeros = new Uint8Array(dmaPageBytes);

export class TableMemory {
  readonly ram: RamAccess;
  readonly #end: number;
  readonly #free: number[] = [];
  #next: number;

  /** Pages from `first` to before `end`, offsets in the RAM. */
  constructor(ram: RamAccess, first: number, end: number) {
    this.ram = ram;
    this.#next = first;
    this.#end = end;
  }

  get freePages(): number {
    return this.#free.length + (this.#end - this.#next) / dmaPageBytes;
  }

  /** The offset of a zeroed page. @throws AirlockError InvalidArgument when there is none left */
  allocate(): number {
    let page = this.#free.pop();
    if (page === undefined) {
      if (this.#next >= this.#end) throw new AirlockError("InvalidArgument", "no page is left for the IOMMU's tables; map less memory", { platform: "qemu" });
      page = this.#next;
      this.#next += dmaPageBytes;
    }
    this.ram.write(page, zeros);
    return page;
  }

  release(page: number): void {
    this.#free.push(page);
  }
}
