/** Reads the binary format of WebAssembly: sections, imports, and the places of a module's parts. Bounds are checked. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/** Section ids of the binary format (WebAssembly Core Specification 2.0, 5.5.2). */
export const SectionId = { custom: 0, type: 1, import: 2, function: 3, table: 4, memory: 5, global: 6, export: 7, start: 8, element: 9, code: 10, data: 11, dataCount: 12 } as const;

export interface Section {
  readonly id: number;
  /** Name of a custom section, else "". */
  readonly name: string;
  /** Where its content begins in the file; after the name in a custom section. */
  readonly at: number;
  readonly end: number;
  /** Where the section begins, its id included. */
  readonly start: number;
}

export type ValueType = "i32" | "i64" | "f32" | "f64" | "other";

/** A function's parameters and results. */
export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface ImportedFunction {
  readonly module: string;
  readonly name: string;
  readonly type: FunctionType;
}

const valueTypes: Readonly<Record<number, ValueType>> = { 0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64" };

/** A position in a file; every read past the end is a RangeError. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  at: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = end;
    this.at = at;
  }

  get ended(): boolean {
    return this.at >= this.#end;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** LEB128, unsigned; up to 53 bits count. */
  unsigned(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** LEB128, signed; up to 53 bits count. */
  signed(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale * 128;
    }
  }

  skip(count: number): void {
    this.#take(count);
  }

  slice(count: number): Uint8Array {
    const from = this.#take(count);
    return this.bytes.subarray(from, from + count);
  }

  /** A name: its length and UTF-8. */
  text(): string {
    return Buffer.from(this.slice(this.unsigned())).toString("utf8");
  }

  /** Text up to a zero byte. */
  terminated(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0 || end >= this.#end) throw new RangeError("a text runs past the end");
    const text = Buffer.from(this.bytes.subarray(this.at, end)).toString("utf8");
    this.at = end + 1;
    return text;
  }

  #take(count: number): number {
    const from = this.at;
    if (count < 0 || from + count > this.#end) throw new RangeError(`${count} bytes at ${from} run past the end`);
    this.at = from + count;
    return from;
  }
}

/** The sections of a module or object. @throws RangeError when it is neither */
export function sectionsOf(bytes: Uint8Array): Section[] {
  const reader = new Reader(bytes);
  if (bytes.length < 8 || reader.u32() !== 0x6d736100 || reader.u32() !== 1) throw new RangeError("this is no WebAssembly file of version 1");
  const sections: Section[] = [];
  while (!reader.ended) {
    const start = reader.at;
    const id = reader.u8();
    const size = reader.unsigned();
    const end = reader.at + size;
    if (end > bytes.length) throw new RangeError(`section ${id} runs past the end`);
    const name = id === SectionId.custom ? reader.text() : "";
    sections.push({ id, name, at: reader.at, end, start });
    reader.at = end;
  }
  return sections;
}

/** The custom section of that name. */
export function customSection(bytes: Uint8Array, sections: readonly Section[], name: string): Uint8Array | undefined {
  const found = sections.find((one) => one.id === SectionId.custom && one.name === name);
  return found === undefined ? undefined : bytes.subarray(found.at, found.end);
}

/** The functions a module imports, in order. */
export function importedFunctions(bytes: Uint8Array, sections = sectionsOf(bytes)): ImportedFunction[] {
  const types = functionTypes(bytes, sections);
  const section = sections.find(({ id }) => id === SectionId.import);
  if (section === undefined) return [];
  const reader = new Reader(bytes, section.at, section.end);
  const found: ImportedFunction[] = [];
  for (let count = reader.unsigned(); count > 0; count--) {
    const module = reader.text();
    const name = reader.text();
    const kind = reader.u8();
    if (kind === 0) {
      const type = types[reader.unsigned()];
      if (type === undefined) throw new RangeError(`import ${module}.${name} has no type`);
      found.push({ module, name, type });
    } else if (kind === 1) {
      reader.u8();
      skipLimits(reader);
    } else if (kind === 2) skipLimits(reader);
    else if (kind === 3) reader.skip(2);
    else {
      reader.u8();
      reader.unsigned();
    }
  }
  return found;
}

function functionTypes(bytes: Uint8Array, sections: readonly Section[]): FunctionType[] {
  const section = sections.find(({ id }) => id === SectionId.type);
  if (section === undefined) return [];
  const reader = new Reader(bytes, section.at, section.end);
  const list = (): ValueType[] => Array.from({ length: reader.unsigned() }, () => valueTypes[reader.u8()] ?? "other");
  return Array.from({ length: reader.unsigned() }, (): FunctionType => {
    if (reader.u8() !== 0x60) throw new RangeError("a type is no function type");
    return { params: list(), results: list() };
  });
}

function skipLimits(reader: Reader): void {
  const flags = reader.u8();
  reader.unsigned();
  if ((flags & 1) !== 0) reader.unsigned();
}

/** The type as the assembler writes it: "(i32, i64) -> (i32)". */
export function typeText({ params, results }: FunctionType): string {
  return `(${params.join(", ")}) -> (${results.join(", ")})`;
}
