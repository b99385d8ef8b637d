/** Programs QEMU's VT-d unit from outside: root and context tables, invalidation, faults. Source: Intel VT-d 3.3 (D51397). */
import type { AccessWidth } from "../../api/grants.ts";
import { AirlockError } from "../../api/errors.ts";
import type { TableMemory } from "./table-memory.ts";
import {
  Capability, Context, ContextCommand, FaultRecord, FaultStatus, Global, IotlbCommand, Vtd, entryBytes, iotlbOffset, vtdBase,
} from "./vtd-registers.ts";

/** The part of a qtest connection that reaches memory. */
export interface MemoryPort {
  readMemory(address: number, width: AccessWidth): number;
  writeMemory(address: number, width: AccessWidth, value: number): void;
}

/** A blocked access, by the slot of the function that made it. */
export interface VtdFault {
  readonly slot: number;
  /** The page: the unit does not tell more. */
  readonly iova: number;
  readonly direction: "read" | "write";
}

/** QEMU does everything before it answers; a unit that does not get ready within this many reads never will. */
const maxPolls = 100;

/** Records taken at one time; a device that faults all the time is not to keep us here. */
const maxFaultsAtOnce = 16;

/** Devices per bus, functions per device. */
const functionsPerSlot = 8;

export class VtdUnit {
  readonly #port: MemoryPort;
  readonly #memory: TableMemory;
  readonly #contextPage: number;
  readonly #iotlb: number;
  readonly #faultRecords: number;
  readonly #faultCount: number;
  /** How often faults were lost because the records were full. */
  overflows = 0;

  /**
   * From when this returns, no device reaches memory but through a domain.
   * @throws AirlockError PlatformUnavailable when the unit is missing or can't do what is needed
   */
  constructor(port: MemoryPort, memory: TableMemory) {
    this.#port = port;
    this.#memory = memory;
    const [low, high] = [this.#read(Vtd.capabilities), this.#read(Vtd.capabilities + 4)];
    if ((low & Capability.threeLevels) === 0 || this.#read(Vtd.version) === 0xffff_ffff) {
      throw new AirlockError("PlatformUnavailable", "this QEMU's IOMMU has no tables of three levels; use another QEMU", { platform: "qemu" });
    }
    this.#faultRecords = Capability.faultOffset(low, high);
    this.#faultCount = Capability.faultRecords(high);
    this.#iotlb = iotlbOffset(this.#read(Vtd.extendedCapabilities));
    const rootPage = memory.allocate();
    this.#contextPage = memory.allocate();
    this.#entry(rootPage, this.#contextPage | Context.present, 0);
    this.#write(Vtd.rootTable, rootPage);
    this.#write(Vtd.rootTable + 4, 0);
    this.#command(Global.rootTable);
    this.#invalidateContexts();
    this.#invalidate(IotlbCommand.global);
    this.#command(Global.translation);
  }

  /** From now on the function's addresses are looked up in these tables. */
  attach(slot: number, tables: number): void {
    this.#entry(this.#contextPage + slot * functionsPerSlot * entryBytes, tables | Context.present, (domainOf(slot) << Context.domainShift) | Context.threeLevels);
    this.#invalidateContexts();
    this.invalidateDomain(slot);
  }

  /** When it returns, all accesses of the function are blocked. */
  detach(slot: number): void {
    this.#entry(this.#contextPage + slot * functionsPerSlot * entryBytes, 0, 0);
    this.#invalidateContexts();
    this.invalidateDomain(slot);
  }

  /** When it returns, nothing of the domain's tables is cached, and writes that were on their way have arrived. */
  invalidateDomain(slot: number): void {
    this.#invalidate(IotlbCommand.domain, domainOf(slot));
  }

  /** Blocked accesses since the last time, oldest first. Accesses while a record was full are counted, not told. */
  takeFaults(): VtdFault[] {
    const status = this.#read(Vtd.faultStatus);
    if ((status & (FaultStatus.pending | FaultStatus.overflow)) === 0) return [];
    const faults: VtdFault[] = [];
    const first = (status >>> FaultStatus.indexShift) & FaultStatus.indexMask;
    for (let index = 0; index < Math.min(this.#faultCount, maxFaultsAtOnce); index++) {
      const record = this.#faultRecords + ((first + index) % this.#faultCount) * FaultRecord.sizeBytes;
      const last = this.#read(record + 12);
      if ((last & FaultRecord.fault) === 0) break;
      const source = this.#read(record + 8) & FaultRecord.sourceMask;
      faults.push({
        slot: Math.floor(source / functionsPerSlot), direction: (last & FaultRecord.isRead) === 0 ? "write" : "read",
        iova: this.#read(record + 4) * 2 ** 32 + this.#read(record),
      });
      this.#write(record + 12, FaultRecord.fault);
    }
    if ((status & FaultStatus.overflow) !== 0) {
      this.overflows++;
      this.#write(Vtd.faultStatus, FaultStatus.overflow);
    }
    return faults;
  }

  /** Sets a bit of the global command and waits for it. The others stay as they are. */
  #command(bit: number): void {
    const enabled = this.#read(Vtd.globalStatus) & Global.translation;
    this.#write(Vtd.globalCommand, (enabled | bit) >>> 0);
    this.#await(() => (this.#read(Vtd.globalStatus) & bit) !== 0);
  }

  #invalidateContexts(): void {
    this.#write(Vtd.contextCommand, 0);
    this.#write(Vtd.contextCommand + 4, (ContextCommand.invalidate | ContextCommand.global) >>> 0);
    this.#await(() => (this.#read(Vtd.contextCommand + 4) & ContextCommand.invalidate) === 0);
  }

  #invalidate(what: number, domain = 0): void {
    this.#write(this.#iotlb, 0);
    this.#write(this.#iotlb + 4, (IotlbCommand.invalidate | what | IotlbCommand.drain | domain) >>> 0);
    this.#await(() => (this.#read(this.#iotlb + 4) & IotlbCommand.invalidate) === 0);
  }

  #await(done: () => boolean): void {
    for (let poll = 0; poll < maxPolls; poll++) if (done()) return;
    throw new AirlockError("HardwareLost", "QEMU's IOMMU does not do what it is told", { platform: "qemu" });
  }

  /** The upper half is written first: the lower holds the bit that makes the entry count. To clear, the order does no harm. */
  #entry(at: number, low: number, high: number): void {
    const { ram } = this.#memory;
    ram.write(at + 8, Uint8Array.from(new Uint8Array(Uint32Array.of(high, 0).buffer)));
    ram.write(at, Uint8Array.from(new Uint8Array(Uint32Array.of(low, 0).buffer)));
  }

  #read(offset: number): number {
    return this.#port.readMemory(vtdBase + offset, 32);
  }

  #write(offset: number, value: number): void {
    this.#port.writeMemory(vtdBase + offset, 32, value);
  }
}

/** Each function has a domain number of its own; 0 stays unused, as units in caching mode want it. */
function domainOf(slot: number): number {
  return slot + 1;
}
