/** The instructions a driver's functions may have, and where among them the loops and block copies are. */
import type { ValueType } from "./abi.ts";
import { type ByteReader, malformed } from "./byte-reader.ts";

/** What rewriting has to find in a function's body. Places are offsets in the module. */
export interface Found {
  /** Behind each loop's block type: where its first instruction is. */
  loop(at: number): void;
  /** A memory.copy or memory.fill: its first byte, and the byte behind it. */
  block(kind: "copy" | "fill", from: number, to: number): void;
  /** A load, or a store of a value of that type: its first byte, and the offset it adds to its address. */
  access(from: number, stored: ValueType | undefined, offset: number): void;
}

export const Op = {
  unreachable: 0x00, loop: 0x03, if: 0x04, end: 0x0b, call: 0x10, drop: 0x1a, localGet: 0x20, localSet: 0x21, localTee: 0x22, globalGet: 0x23, globalSet: 0x24, i32Load: 0x28, i32Const: 0x41,
  i32Eqz: 0x45, i32LessUnsigned: 0x49, i32GreaterEqualUnsigned: 0x4f, i32Subtract: 0x6b, i32Or: 0x72, i32ShiftRightUnsigned: 0x76, prefix: 0xfc, voidBlock: 0x40,
} as const;

export const valueTypes: Readonly<Record<number, ValueType>> = { 0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64" };

/** The last of the conversions that saturate, and the two operations on blocks, after the prefix. */
const lastSaturating = 7;
const memoryCopy = 10;
const memoryFill = 11;
/** Local variables of one function: what compilers make has some hundred, and V8 needs time for each at each branch. */
const mostLocals = 8_192;
/** A natural alignment is at most that of 8 bytes; larger values are flags of later versions. */
const mostAlignment = 3;

/**
 * Passes over one function's body, which ends where the reader ends. What is not on the list is refused, so that nothing that V8 reads is
 * read differently here: no vectors, threads, references, exceptions, tail calls, nor any later proposal.
 */
export function scanBody(reader: ByteReader, types: number, found: Found): void {
  localGroups(reader);
  while (!reader.atEnd) scanInstruction(reader, types, found);
}

/** A body's local variables: their groups lie between the two offsets. */
export function localGroups(reader: ByteReader): { readonly count: number; readonly locals: number; readonly from: number; readonly to: number } {
  const count = reader.count();
  const from = reader.at;
  let locals = 0;
  for (let left = count; left > 0; left--) {
    locals += reader.u32();
    if (locals > mostLocals) throw malformed(reader.at, `a function has ${locals} local variables, more than ${mostLocals}`);
    if (valueTypes[reader.byte()] === undefined) throw malformed(reader.at, "a local has a type other than i32, i64, f32 and f64");
  }
  return { count, locals, from, to: reader.at };
}

/** What each of the stores, in the order of their opcodes, takes. */
const storedTypes: readonly ValueType[] = ["i32", "i64", "f32", "f64", "i32", "i32", "i64", "i64", "i64"];
const firstStore = 0x36;

function scanInstruction(reader: ByteReader, types: number, found: Found): void {
  const from = reader.at;
  const opcode = reader.byte();
  if (opcode >= 0x45 && opcode <= 0xc4) return;
  if (opcode >= 0x28 && opcode <= 0x3e) {
    if (reader.u32() > mostAlignment) throw malformed(from, "an access has an alignment that it cannot have");
    return found.access(from, storedTypes[opcode - firstStore], reader.u32());
  }
  switch (opcode) {
    case 0x00: case 0x01: case 0x05: case 0x0b: case 0x0f: case 0x1a: case 0x1b: return;
    case 0x02: case 0x04: return scanBlockType(reader, types);
    case Op.loop:
      scanBlockType(reader, types);
      return found.loop(reader.at);
    case 0x0c: case 0x0d: case 0x10: case 0x20: case 0x21: case 0x22: case 0x23: case 0x24: case 0x41: return reader.skip32();
    case 0x0e:
      for (let targets = reader.count(); targets >= 0; targets--) reader.skip32();
      return;
    case 0x11:
      reader.skip32();
      return reader.skip32();
    case 0x3f: case 0x40: return scanZero(reader);
    case 0x42: return reader.skip64();
    case 0x43: return reader.skip(4);
    case 0x44: return reader.skip(8);
    case Op.prefix: return scanPrefixed(reader, from, found);
    default: throw malformed(from, `there is instruction 0x${opcode.toString(16)}, which drivers cannot have`);
  }
}

function scanPrefixed(reader: ByteReader, from: number, found: Found): void {
  const operation = reader.u32();
  if (operation <= lastSaturating) return;
  if (operation !== memoryCopy && operation !== memoryFill) throw malformed(from, `there is instruction 0xfc ${operation}, which drivers cannot have`);
  scanZero(reader);
  if (operation === memoryCopy) scanZero(reader);
  found.block(operation === memoryCopy ? "copy" : "fill", from, reader.at);
}

/** The number of the only memory. */
function scanZero(reader: ByteReader): void {
  if (reader.byte() !== 0) throw malformed(reader.at, "there is a second memory");
}

/** Nothing, one value, or one of the module's own types. */
function scanBlockType(reader: ByteReader, types: number): void {
  const first = reader.byte();
  if (first === Op.voidBlock || valueTypes[first] !== undefined) return;
  reader.at--;
  // What is negative as a signed number would be a type of a later version.
  if ((first & 0xc0) === 0x40 || reader.u32() >= types) throw malformed(reader.at, "a block has a type that it cannot have");
}
