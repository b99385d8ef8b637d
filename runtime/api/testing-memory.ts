/** DMA memory for driver authors' unit tests: a driver's regions, buffers of the test's own, and the device's way to both. */
import { AirlockError } from "./errors.ts";
import type { DmaGrant } from "./grants.ts";

interface Region extends DmaGrant {
  /** What the device sees. */
  readonly device: Uint8Array;
  /** What the driver sees; the same bytes unless the memory is `separate`. */
  readonly guest: ArrayBuffer;
}

/** An access of the device to an address that nothing is mapped at. */
export interface TestDmaFault {
  readonly iova: number;
  readonly direction: "read" | "write";
  readonly sizeBytes: number;
}

const pageBytes = 4096;
/** First address; unmapped pages lie between the regions, so that a device that runs over an end is noticed. */
const firstIova = 0x10_0000;

/**
 * What a driver shares with its device in a test. With `separate` driver and device see each other's writes at `sync` calls
 * only, as on a platform without shared pages: a driver that forgets one fails its test.
 */
export class TestMemory {
  readonly faults: TestDmaFault[] = [];
  readonly #separate: boolean;
  readonly #regions: Region[] = [];
  readonly #buffers: Region[] = [];
  #nextIova = firstIova;

  constructor(options: { readonly separate?: boolean } = {}) {
    this.#separate = options.separate ?? false;
  }

  /** Adds a region the driver is granted under this name. */
  addRegion(name: string, sizeBytes: number): this {
    this.#regions.push(this.#make(name, sizeBytes));
    return this;
  }

  /** Memory only the device reaches, as a class's buffers are. Returns its address for the device and its bytes for the test. */
  addBuffer(sizeBytes: number): { readonly iova: number; readonly bytes: Uint8Array } {
    const buffer = this.#make(`buffer${this.#buffers.length}`, sizeBytes);
    this.#buffers.push(buffer);
    return { iova: buffer.iova, bytes: buffer.device };
  }

  /** What the driver is told. */
  get regions(): readonly DmaGrant[] {
    return this.#regions.map(({ name, iova, sizeBytes }) => ({ name, iova, sizeBytes }));
  }

  /** Device access: fills `into` from memory. False, and a fault, when any of it is not mapped. */
  read(iova: number, into: Uint8Array): boolean {
    const found = this.#find(iova, into.length, "read");
    if (found === undefined) return false;
    into.set(found);
    return true;
  }

  /** Device access: writes `from` to memory. False, and a fault, when any of it is not mapped. */
  write(iova: number, from: Uint8Array): boolean {
    const found = this.#find(iova, from.length, "write");
    if (found === undefined) return false;
    found.set(from);
    return true;
  }

  /** The driver's view of region number `region`. */
  guestSide(region: number): ArrayBuffer {
    return this.#region(region).guest;
  }

  /** A driver's sync call. @throws AirlockError CapabilityViolation outside the region */
  sync(region: number, offset: number, sizeBytes: number, toDevice: boolean): void {
    const { name, device, guest, sizeBytes: whole } = this.#region(region);
    if (!(Number.isInteger(offset) && Number.isInteger(sizeBytes) && offset >= 0 && sizeBytes >= 0 && offset + sizeBytes <= whole)) {
      throw new AirlockError("CapabilityViolation", `sync of ${sizeBytes} bytes at ${offset} of DMA memory "${name}", which has ${whole}`);
    }
    if (!this.#separate) return;
    const seen = new Uint8Array(guest, offset, sizeBytes);
    const real = device.subarray(offset, offset + sizeBytes);
    if (toDevice) real.set(seen);
    else seen.set(real);
  }

  #region(index: number): Region {
    const region = this.#regions[index];
    if (region === undefined) throw new AirlockError("CapabilityViolation", `there is no DMA memory number ${index}`);
    return region;
  }

  #make(name: string, sizeBytes: number): Region {
    const pages = Math.ceil(sizeBytes / pageBytes);
    const iova = this.#nextIova;
    this.#nextIova += (pages + 1) * pageBytes;
    const guest = new ArrayBuffer(pages * pageBytes);
    const device = this.#separate ? new Uint8Array(pages * pageBytes) : new Uint8Array(guest);
    return { name, iova, sizeBytes: pages * pageBytes, device, guest };
  }

  #find(iova: number, sizeBytes: number, direction: TestDmaFault["direction"]): Uint8Array | undefined {
    for (const { iova: start, sizeBytes: size, device } of [...this.#regions, ...this.#buffers]) {
      if (iova >= start && iova + sizeBytes <= start + size) return device.subarray(iova - start, iova - start + sizeBytes);
    }
    this.faults.push({ iova, direction, sizeBytes });
    return undefined;
  }
}
