/** Log pages of an NVMe controller: errors, health, firmware slots, changed namespaces (NVMe 1.4, 5.14.1). */
import { Log, Word, errorLogEntries, temperatureKelvin, temperatureWarning } from "./nvme-registers.ts";

const entryBytes = 64;
const healthBytes = 512;
const firmwareBytes = 512;
const changedNamespacesBytes = 4_096;

/** Data units are thousands of 512 bytes. */
const dataUnitBytes = 512_000;

/** What the health log counts. */
export interface NvmeCounters {
  reads: number;
  writes: number;
  bytesRead: number;
  bytesWritten: number;
  mediaErrors: number;
  powerCuts: number;
}

/** The error log is a ring, newest first when read; it survives a controller reset, as the counters do. */
export class NvmeLogs {
  readonly #counters: NvmeCounters;
  readonly #ring = new Uint8Array(errorLogEntries * entryBytes);
  readonly #view = new DataView(this.#ring.buffer);
  #errorCount = 0;

  constructor(counters: NvmeCounters) {
    this.#counters = counters;
  }

  /** Errors since power-on, whether the log still has them or not. */
  get errorCount(): number {
    return this.#errorCount;
  }

  /** A command failed (figure 197). `command` undefined: it was not an error of any command. */
  addError(queueId: number, command: Uint32Array | undefined, status: number): void {
    const at = (this.#errorCount++ % errorLogEntries) * entryBytes;
    this.#ring.fill(0, at, at + entryBytes);
    this.#view.setUint32(at, this.#errorCount, true);
    this.#view.setUint16(at + 8, command === undefined ? 0xffff : queueId, true);
    this.#view.setUint16(at + 10, command === undefined ? 0xffff : command[Word.opcode]! >>> 16, true);
    this.#view.setUint16(at + 12, status << 1, true);
    this.#view.setUint16(at + 14, 0xffff, true);
    if (command === undefined || queueId === 0) return;
    this.#view.setUint32(at + 16, command[Word.cdw10]!, true);
    this.#view.setUint32(at + 20, command[Word.cdw11]!, true);
    this.#view.setUint32(at + 24, command[Word.namespace]!, true);
  }

  /** Whole contents of a log page; undefined when there is no such page. */
  page(log: number, hot: boolean): Uint8Array | undefined {
    switch (log) {
      case Log.errors: return this.#errors();
      case Log.health: return this.#health(hot);
      case Log.firmware: return firmware();
      case Log.changedNamespaces: return new Uint8Array(changedNamespacesBytes);
      default: return undefined;
    }
  }

  /** The counters start anew with the power. */
  powerCut(): void {
    this.#errorCount = 0;
    this.#ring.fill(0);
  }

  #errors(): Uint8Array {
    const bytes = new Uint8Array(this.#ring.length);
    for (let age = 0; age < Math.min(this.#errorCount, errorLogEntries); age++) {
      const from = ((this.#errorCount - 1 - age) % errorLogEntries) * entryBytes;
      bytes.set(this.#ring.subarray(from, from + entryBytes), age * entryBytes);
    }
    return bytes;
  }

  /** Figure 196. `hot`: the temperature is beyond a threshold. */
  #health(hot: boolean): Uint8Array {
    const bytes = new Uint8Array(healthBytes);
    const view = new DataView(bytes.buffer);
    const { reads, writes, bytesRead, bytesWritten, mediaErrors, powerCuts } = this.#counters;
    bytes[0] = hot ? temperatureWarning : 0;
    view.setUint16(1, temperatureKelvin, true);
    bytes[3] = 100; // Available spare, percent
    bytes[4] = 10; // Threshold of that
    const counts = [
      Math.ceil(bytesRead / dataUnitBytes), Math.ceil(bytesWritten / dataUnitBytes), reads, writes,
      0, powerCuts + 1, 0, powerCuts, mediaErrors, this.#errorCount,
    ];
    for (const [index, count] of counts.entries()) view.setBigUint64(32 + index * 16, BigInt(count), true);
    return bytes;
  }
}

/** Figure 198: slot 1 is active. */
function firmware(): Uint8Array {
  const bytes = new Uint8Array(firmwareBytes);
  bytes[0] = 1;
  bytes.set(Buffer.from("1.0     ", "latin1"), 8);
  return bytes;
}
