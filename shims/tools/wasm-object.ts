/** Reads what a compiler put into an object: its symbols, and the bytes of its data. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { Reader, type Section, SectionId, sectionsOf } from "./wasm-reader.ts";

/** Symbol kinds and flags of the "linking" section (WebAssembly tool conventions, Linking, version 2). */
const SymbolKind = { function: 0, data: 1, global: 2, section: 3, tag: 4, table: 5 } as const;
const SymbolFlag = { local: 0x02, undefined: 0x10, explicitName: 0x40 } as const;
const subsection = { segmentInfo: 5, symbolTable: 8 } as const;

/** A symbol the object defines or refers to. */
export interface ObjectSymbol {
  readonly name: string;
  readonly kind: "function" | "data" | "other";
  readonly defined: boolean;
  /** Whether no other object can refer to it. */
  readonly local: boolean;
  /** Of defined data: its segment, and its place there. */
  readonly data?: { readonly segment: number; readonly offset: number; readonly sizeBytes: number };
}

export interface DataSegment {
  /** As the compiler named it: ".modinfo", ".rodata.name". */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface WasmObject {
  readonly symbols: readonly ObjectSymbol[];
  readonly segments: readonly DataSegment[];
}

/** @throws RangeError for a file that is no object */
export function readObject(bytes: Uint8Array): WasmObject {
  const sections = sectionsOf(bytes);
  const linking = sections.find(({ id, name }) => id === SectionId.custom && name === "linking");
  if (linking === undefined) throw new RangeError("this is no WebAssembly object: it has no linking section");
  const imports = importNames(bytes, sections);
  const reader = new Reader(bytes, linking.at, linking.end);
  if (reader.unsigned() !== 2) throw new RangeError("the object's linking section is not of version 2");
  let symbols: ObjectSymbol[] = [];
  let names: string[] = [];
  while (!reader.ended) {
    const kind = reader.u8();
    const size = reader.unsigned();
    const end = reader.at + size;
    if (kind === subsection.symbolTable) symbols = readSymbols(reader, imports);
    if (kind === subsection.segmentInfo) names = readSegmentNames(reader);
    reader.at = end;
  }
  return { symbols, segments: readData(bytes, sections).map((data, index) => ({ name: names[index] ?? "", bytes: data })) };
}

/** The bytes of a defined data symbol. */
export function dataOf({ segments }: WasmObject, { data }: ObjectSymbol): Uint8Array | undefined {
  const segment = data && segments[data.segment];
  return segment?.bytes.subarray(data!.offset, data!.offset + data!.sizeBytes);
}

interface ImportNames {
  readonly functions: readonly string[];
  readonly others: Readonly<Record<number, readonly string[]>>;
}

/** Undefined symbols without a name of their own have that of their import. */
function importNames(bytes: Uint8Array, sections: readonly Section[]): ImportNames {
  const names: Record<number, string[]> = { 0: [], 1: [], 2: [], 3: [], 4: [] };
  const section = sections.find(({ id }) => id === SectionId.import);
  if (section === undefined) return { functions: [], others: names };
  const reader = new Reader(bytes, section.at, section.end);
  for (let count = reader.unsigned(); count > 0; count--) {
    reader.text();
    const name = reader.text();
    const kind = reader.u8();
    names[kind]?.push(name);
    if (kind === 0) reader.unsigned();
    else if (kind === 3) reader.skip(2);
    else if (kind === 4) {
      reader.u8();
      reader.unsigned();
    }
    else {
      if (kind === 1) reader.u8();
      const flags = reader.u8();
      reader.unsigned();
      if ((flags & 1) !== 0) reader.unsigned();
    }
  }
  return { functions: names[0]!, others: names };
}

function readSymbols(reader: Reader, imports: ImportNames): ObjectSymbol[] {
  return Array.from({ length: reader.unsigned() }, (): ObjectSymbol => {
    const kind = reader.u8();
    const flags = reader.unsigned();
    const defined = (flags & SymbolFlag.undefined) === 0;
    const local = (flags & SymbolFlag.local) !== 0;
    if (kind === SymbolKind.data) {
      const name = reader.text();
      if (!defined) return { name, kind: "data", defined, local };
      return { name, kind: "data", defined, local, data: { segment: reader.unsigned(), offset: reader.unsigned(), sizeBytes: reader.unsigned() } };
    }
    const index = reader.unsigned();
    if (kind === SymbolKind.section) return { name: "", kind: "other", defined, local };
    const named = defined || (flags & SymbolFlag.explicitName) !== 0;
    const importKind = kind === SymbolKind.function ? 0 : kind === SymbolKind.global ? 3 : kind === SymbolKind.table ? 1 : 4;
    const name = named ? reader.text() : (imports.others[importKind]?.[index] ?? "");
    return { name, kind: kind === SymbolKind.function ? "function" : "other", defined, local };
  });
}

function readSegmentNames(reader: Reader): string[] {
  return Array.from({ length: reader.unsigned() }, () => {
    const name = reader.text();
    reader.unsigned();
    reader.unsigned();
    return name;
  });
}

function readData(bytes: Uint8Array, sections: readonly Section[]): Uint8Array[] {
  const section = sections.find(({ id }) => id === SectionId.data);
  if (section === undefined) return [];
  const reader = new Reader(bytes, section.at, section.end);
  return Array.from({ length: reader.unsigned() }, () => {
    const flags = reader.unsigned();
    if (flags === 2) reader.unsigned();
    if (flags !== 1) skipOffset(reader);
    return reader.slice(reader.unsigned());
  });
}

/** An object's segments begin at constants: i32.const and end. */
function skipOffset(reader: Reader): void {
  const opcode = reader.u8();
  if (opcode !== 0x41 && opcode !== 0x42) throw new RangeError("a data segment does not begin at a constant");
  reader.signed();
  if (reader.u8() !== 0x0b) throw new RangeError("a data segment's offset has no end");
}
