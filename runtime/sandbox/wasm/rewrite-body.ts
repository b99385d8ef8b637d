/** Rewrites functions: what is put before loops, block copies, loads and stores, and the two functions that copy blocks. */
import { nullBytes } from "./abi.ts";
import { ByteReader, ByteWriter } from "./byte-reader.ts";
import { type Found, Op, localGroups, scanBody } from "./instructions.ts";
import type { ReadModule, Section } from "./read-module.ts";

/** What a module is made for. */
export interface ModuleForm {
  /** Whether it counts its steps, for deterministic worlds. */
  readonly isCounted: boolean;
  /** Whether it looks at every address itself, because the start of its memory cannot be protected. */
  readonly checksNull: boolean;
}

export interface BodyPlan extends ModuleForm {
  readonly module: ReadModule;
  /** Index of the function that copies; the one that fills comes after it. */
  readonly copy: number;
  /** Index of the global that counts. */
  readonly steps: number;
}

/** One change of a body: what is between the two offsets of the original gives way to these bytes. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly bytes: readonly number[];
}

/** Bytes of a block copy that count as one step. */
const stepShift = 8;

/** The changes of one function of that type, in order. */
export function bodyEdits(plan: BodyPlan, body: Section, type: number): Edit[] {
  const { module, isCounted, checksNull, copy, steps } = plan;
  const reader = (): ByteReader => new ByteReader(module.bytes, body.from, body.to);
  const groups = localGroups(reader());
  const count = isCounted ? countStep(steps) : [];
  const edits: Edit[] = [];
  const own = module.types[type]?.parameters.length ?? 0;
  const scratch = own + groups.locals;
  let needsScratch = false;
  const found: Found = {
    loop: (at) => { if (isCounted) edits.push({ from: at, to: at, bytes: count }); },
    block: (kind, from, to) => { edits.push({ from, to, bytes: [Op.call, ...u32(kind === "copy" ? copy : copy + 1)] }); },
    access: (from, value, offset) => {
      if (!checksNull || offset >= nullBytes) return;
      needsScratch = true;
      edits.push({ from, to: from, bytes: checkAddress(scratch, value, nullBytes - offset) });
    },
  };
  scanBody(reader(), module.types.length, found);
  const entry: number[] = needsScratch ? scratchTypes.flatMap((local) => [1, local]) : [];
  if (needsScratch) edits.unshift({ from: body.from, to: groups.from, bytes: u32(groups.count + scratchTypes.length) });
  if (entry.length + count.length > 0) edits.splice(needsScratch ? 1 : 0, 0, { from: groups.to, to: groups.to, bytes: [...entry, ...count] });
  return edits;
}

/** Locals that are added where addresses are checked: the address, and a value that is to be stored, by its type. */
const scratchTypes = [0x7f, 0x7f, 0x7e, 0x7d, 0x7c] as const;
const scratchOf = { i32: 1, i64: 2, f32: 3, f64: 4 } as const;

/** Before a load (no value) or a store: traps for an address below the limit, and leaves everything as it was. */
function checkAddress(scratch: number, value: keyof typeof scratchOf | undefined, limit: number): number[] {
  const address = u32(scratch);
  const kept = value === undefined ? undefined : u32(scratch + scratchOf[value]);
  return [
    ...(kept === undefined ? [] : [Op.localSet, ...kept]),
    Op.localTee, ...address, Op.localGet, ...address, Op.i32Const, ...s32(limit), Op.i32LessUnsigned, Op.if, Op.voidBlock, ...trap, Op.end,
    ...(kept === undefined ? [] : [Op.localGet, ...kept]),
  ];
}

/** Traps when no step is left, and takes one. */
function countStep(steps: number): number[] {
  const index = u32(steps);
  return [
    Op.globalGet, ...index, Op.i32Eqz, Op.if, Op.voidBlock, Op.unreachable, Op.end,
    Op.globalGet, ...index, Op.i32Const, 1, Op.i32Subtract, Op.globalSet, ...index,
  ];
}

/** A load that is out of bounds whatever the memory's size: the trap that a null pointer has elsewhere. */
const trap = [Op.i32Const, 0x7f, Op.i32Load, 0, 0, Op.drop];

/** Parameters: to, from, size. */
export function copyFunction(plan: BodyPlan): number[] {
  const below = (local: number): number[] => [Op.localGet, local, Op.i32Const, ...s32(nullBytes), Op.i32LessUnsigned];
  return blockFunction(plan, [...below(0), ...below(1), Op.i32Or], [Op.prefix, 10, 0, 0]);
}

/** Parameters: to, value, size. */
export function fillFunction(plan: BodyPlan): number[] {
  return blockFunction(plan, [Op.localGet, 0, Op.i32Const, ...s32(nullBytes), Op.i32LessUnsigned], [Op.prefix, 11, 0]);
}

function blockFunction({ isCounted, steps }: BodyPlan, isRefused: readonly number[], perform: readonly number[]): number[] {
  const index = u32(steps);
  const cost = [Op.localGet, 2, Op.i32Const, stepShift, Op.i32ShiftRightUnsigned];
  const count = [
    ...cost, Op.globalGet, ...index, Op.i32GreaterEqualUnsigned, Op.if, Op.voidBlock, Op.i32Const, 0, Op.globalSet, ...index, Op.unreachable, Op.end,
    Op.globalGet, ...index, ...cost, Op.i32Subtract, Op.globalSet, ...index,
  ];
  return [
    0, Op.localGet, 2, Op.if, Op.voidBlock, ...isRefused, Op.if, Op.voidBlock, ...trap, Op.end, Op.end,
    ...(isCounted ? count : []), Op.localGet, 0, Op.localGet, 1, Op.localGet, 2, ...perform, Op.end,
  ];
}

function u32(value: number): number[] {
  const writer = new ByteWriter(8);
  writer.u32(value);
  return [...writer.done()];
}

/** A number that is not negative, as a signed one. */
function s32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x40; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}
