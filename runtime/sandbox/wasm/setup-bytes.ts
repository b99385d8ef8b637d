/** The driver's setup as shims/abi/airlock.h lays it out in memory. */
import { AirlockError } from "../../api/errors.ts";
import type { DriverSetup } from "../../api/grants.ts";
import { abiVersion, irqBytes, nameBytes, optionBytes, optionValueBytes, regionBytes, rightBits, setupFlags, setupHeaderBytes, windowBytes } from "./abi.ts";

/** Where a region lies in the module's memory. */
export interface PlacedRegion {
  readonly address: number;
  readonly isShared: boolean;
}

/** The option of a machine file that has the allocator guard and verify every object. */
export const checkingOption = "checking";

const encoder = new TextEncoder();

/**
 * The whole setup. `memoryBytes` is the end of the module's own part of its memory; regions lie above it, in the order of the setup's.
 * @throws AirlockError InvalidArgument when a name or value is too long for its field
 */
export function setupBytes(setup: DriverSetup, regions: readonly PlacedRegion[], memoryBytes: number): Uint8Array {
  const { windows, irqs, dma } = setup;
  const options = Object.entries(setup.options);
  const bytes = new Uint8Array(setupHeaderBytes + windows.length * windowBytes + irqs.length * irqBytes + dma.length * regionBytes + options.length * optionBytes);
  const out = new FieldWriter(bytes);
  const flags = setup.options[checkingOption] === true ? setupFlags.CHECKING : 0;
  for (const word of [abiVersion, windows.length, irqs.length, dma.length, options.length, memoryBytes, flags]) out.word(word);
  for (const word of seed(setup.driver)) out.word(word);
  out.text("the driver's name", setup.driver, nameBytes);
  for (const { name, sizeBytes, rights, widths, isPorts } of windows) {
    out.text("a window's name", name, nameBytes);
    for (const word of [sizeBytes, rightBits[rights], widths.reduce<number>((all, width) => all | width, 0), isPorts === true ? 1 : 0]) out.word(word);
  }
  for (const { name } of irqs) out.text("a line's name", name, nameBytes);
  dma.forEach(({ name, sizeBytes, iova, isBuffers }, index) => {
    const { address, isShared } = regions[index]!;
    out.text("a region's name", name, nameBytes);
    for (const word of [address, sizeBytes, iova, isShared ? 1 : 0, isBuffers === true ? 1 : 0]) out.word(word);
  });
  for (const [name, value] of options) {
    out.text("an option's name", name, nameBytes);
    out.text(`option ${name}`, typeof value === "boolean" ? String(Number(value)) : String(value), optionValueBytes);
  }
  return bytes;
}

/** The same for every generation of a driver, so that a run can be repeated. FNV-1a over its name, once per word. */
function seed(driver: string): number[] {
  return [0, 1, 2, 3].map((word) => {
    let hash = 0x811c_9dc5 ^ word;
    for (const byte of encoder.encode(driver)) hash = Math.imul(hash ^ byte, 0x0100_0193);
    return hash >>> 0;
  });
}

class FieldWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  word(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  /** Ends with a zero, which is part of the field. */
  text(what: string, text: string, fieldBytes: number): void {
    const encoded = encoder.encode(text);
    if (encoded.length >= fieldBytes) throw new AirlockError("InvalidArgument", `${what} has ${encoded.length} bytes, the wasm tier takes ${fieldBytes - 1}; make it shorter`);
    this.#bytes.set(encoded, this.#at);
    this.#at += fieldBytes;
  }
}
