/** Reads a WebAssembly module's sections: everything that is decided about a driver before it is compiled. */
import { ByteReader, malformed } from "./byte-reader.ts";
import type { Signature, ValueType } from "./abi.ts";
import { valueTypes } from "./instructions.ts";

/** A section's contents: where they are in the module. */
export interface Section {
  readonly id: number;
  readonly from: number;
  readonly to: number;
}

export interface ImportedFunction {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

export interface GlobalVariable {
  readonly type: ValueType;
  readonly isMutable: boolean;
  /** Its first value when that is a 32-bit constant. */
  readonly value: number | undefined;
}

export interface ModuleExport {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

/** Initial contents of a part of the memory. */
export interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface ReadModule {
  readonly bytes: Uint8Array;
  readonly sections: readonly Section[];
  readonly types: readonly Signature[];
  readonly functionImports: readonly ImportedFunction[];
  /** Everything imported that is no function: "table env.t". */
  readonly otherImports: readonly string[];
  readonly memories: readonly { readonly module: string; readonly name: string; readonly flags: number; readonly leastPages: number; readonly mostPages: number | undefined }[];
  /** Types of the module's own functions. */
  readonly functions: readonly number[];
  readonly tables: readonly { readonly leastEntries: number }[];
  readonly globals: readonly GlobalVariable[];
  readonly exports: readonly ModuleExport[];
  /** Bodies of the module's own functions: without their sizes. */
  readonly bodies: readonly Section[];
  readonly segments: readonly Segment[];
  /** Index of the function that is to run before all others; linkers make one that zeroes memory. */
  readonly start: number | undefined;
  /** Ids of sections that a driver cannot have. */
  readonly refused: readonly number[];
}

export const SectionId = {
  custom: 0, type: 1, import: 2, function: 3, table: 4, memory: 5, global: 6, export: 7, start: 8, element: 9, code: 10, data: 11, dataCount: 12,
} as const;

export const ExternalKind = { function: 0, table: 1, memory: 2, global: 3 } as const;
/** The order of sections; a count of data comes before the code that it is for. */
const order: readonly number[] = [
  SectionId.custom, SectionId.type, SectionId.import, SectionId.function, SectionId.table, SectionId.memory, SectionId.global, SectionId.export, SectionId.start,
  SectionId.element, SectionId.dataCount, SectionId.code, SectionId.data,
];
const kindNames = ["function", "table", "memory", "global"];
const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** Reads a module. @throws AirlockError BundleInvalid when it is none, or has what only later versions have */
export function readModule(bytes: Uint8Array): ReadModule {
  if (bytes.length < header.length || header.some((byte, index) => bytes[index] !== byte)) throw malformed(0, "it does not begin as one");
  const module = {
    bytes, sections: [] as Section[], types: [] as Signature[], functionImports: [] as ImportedFunction[], otherImports: [] as string[],
    memories: [] as ReadModule["memories"][number][], functions: [] as number[], tables: [] as { leastEntries: number }[], globals: [] as GlobalVariable[],
    exports: [] as ModuleExport[], bodies: [] as Section[], segments: [] as Segment[], start: undefined as number | undefined, refused: [] as number[],
  };
  const reader = new ByteReader(bytes, header.length);
  let last = 0;
  while (!reader.atEnd) {
    const id = reader.byte();
    if (id !== SectionId.custom) {
      const place = order.indexOf(id);
      if (place >= 0 && place <= last) throw malformed(reader.at, "its sections are in another order than they have to be");
      last = Math.max(last, place);
    }
    const sizeBytes = reader.u32();
    const from = reader.at;
    reader.skip(sizeBytes);
    module.sections.push({ id, from, to: reader.at });
    const contents = new ByteReader(bytes, from, reader.at);
    const read = sectionReaders[id];
    if (read !== undefined) {
      read(contents, module);
      if (!contents.atEnd) throw malformed(contents.at, "a section is longer than its contents");
    } else if (id !== SectionId.custom && id !== SectionId.dataCount) module.refused.push(id);
  }
  if (module.bodies.length !== module.functions.length) throw malformed(bytes.length, "functions and their bodies do not match");
  return module;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] };

const sectionReaders: Readonly<Record<number, (reader: ByteReader, module: Mutable<Omit<ReadModule, "bytes">>) => void>> = {
  [SectionId.type]: (reader, { types }) => each(reader, () => {
    if (reader.byte() !== 0x60) throw malformed(reader.at, "a type is no function's");
    types.push({ parameters: valueTypeList(reader), results: valueTypeList(reader) });
  }),
  [SectionId.import]: (reader, module) => each(reader, () => readImport(reader, module)),
  [SectionId.function]: (reader, { functions }) => each(reader, () => functions.push(reader.u32())),
  [SectionId.table]: (reader, { tables }) => each(reader, () => {
    if (reader.byte() !== 0x70) throw malformed(reader.at, "a table has other things than functions");
    const { least, flags } = readLimits(reader);
    if (flags > 1) throw malformed(reader.at, "a table has flags of a later version");
    tables.push({ leastEntries: least });
  }),
  [SectionId.global]: (reader, { globals }) => each(reader, () => {
    const type = valueType(reader);
    const mutable = reader.byte();
    if (mutable > 1) throw malformed(reader.at, "a global has flags of a later version");
    globals.push({ type, isMutable: mutable === 1, value: readConstant(reader) });
  }),
  [SectionId.export]: (reader, { exports }) => each(reader, () => {
    exports.push({ name: reader.name(), kind: reader.byte(), index: reader.u32() });
  }),
  [SectionId.start]: (reader, module) => { module.start = reader.u32(); },
  [SectionId.element]: (reader) => each(reader, () => {
    if (reader.u32() !== 0) throw malformed(reader.at, "a list of functions for the table is not of the simple kind");
    readConstant(reader);
    each(reader, () => reader.skip32());
  }),
  [SectionId.code]: (reader, { bodies }) => each(reader, () => {
    const sizeBytes = reader.u32();
    const from = reader.at;
    reader.skip(sizeBytes);
    bodies.push({ id: SectionId.code, from, to: reader.at });
  }),
  [SectionId.data]: (reader, { segments }) => each(reader, () => {
    if (reader.u32() !== 0) throw malformed(reader.at, "data is not at a fixed address");
    const address = readConstant(reader);
    if (address === undefined) throw malformed(reader.at, "data is not at a fixed address");
    segments.push({ address, bytes: reader.take(reader.u32()) });
  }),
};

function each(reader: ByteReader, read: () => void): void {
  for (let left = reader.count(); left > 0; left--) read();
}

function readImport(reader: ByteReader, { functionImports, otherImports, memories }: Mutable<Omit<ReadModule, "bytes">>): void {
  const module = reader.name();
  const name = reader.name();
  const kind = reader.byte();
  if (kind === ExternalKind.function) functionImports.push({ module, name, type: reader.u32() });
  else if (kind === ExternalKind.memory) {
    const { flags, least, most } = readLimits(reader);
    memories.push({ module, name, flags, leastPages: least, mostPages: most });
  } else {
    otherImports.push(`${kindNames[kind] ?? "something"} ${module}.${name}`);
    if (kind === ExternalKind.table) {
      reader.byte();
      readLimits(reader);
    } else if (kind === ExternalKind.global) reader.skip(2);
    else throw malformed(reader.at, `"${module}.${name}" is imported as something of a later version`);
  }
}

function readLimits(reader: ByteReader): { flags: number; least: number; most: number | undefined } {
  const flags = reader.byte();
  const least = reader.u32();
  return { flags, least, most: (flags & 1) === 0 ? undefined : reader.u32() };
}

function valueType(reader: ByteReader): ValueType {
  const type = valueTypes[reader.byte()];
  if (type === undefined) throw malformed(reader.at, "there is a type other than i32, i64, f32 and f64");
  return type;
}

function valueTypeList(reader: ByteReader): ValueType[] {
  const list: ValueType[] = [];
  each(reader, () => list.push(valueType(reader)));
  return list;
}

/** An initial value; only constants: there is nothing else it could come from. */
function readConstant(reader: ByteReader): number | undefined {
  const opcode = reader.byte();
  let value: number | undefined;
  if (opcode === 0x41) value = reader.s32();
  else if (opcode === 0x42) reader.skip64();
  else if (opcode === 0x43) reader.skip(4);
  else if (opcode === 0x44) reader.skip(8);
  else throw malformed(reader.at, "a first value is no constant");
  if (reader.byte() !== 0x0b) throw malformed(reader.at, "a first value is no single constant");
  return value;
}
