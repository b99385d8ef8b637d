/** Rewrites a checked module so that V8 can contain it: the start of its memory, its block copies and, where asked for, its time. */
import { type ExportName, exportSignatures } from "./abi.ts";
import { ByteReader, ByteWriter, u32Bytes } from "./byte-reader.ts";
import { exportedFunction } from "./check-module.ts";
import { Op } from "./instructions.ts";
import { type ReadModule, type Section, ExternalKind, SectionId } from "./read-module.ts";
import { type BodyPlan, type ModuleForm, bodyEdits, copyFunction, fillFunction } from "./rewrite-body.ts";

/** The export by which the host sets how many steps are left; a module's own exports are all replaced. */
export const stepsExport = "airlock_steps";
/** The export of a module's start function: the host calls it, so that it is contained as everything else is. */
export const startExport = "airlock_start";

/** Most pages a memory of 32-bit addresses can have. */
const mostPages = 65_536;
/** What came of a module. */
export interface Rewritten {
  readonly bytes: Uint8Array;
  /** Pairs in ascending order: from this offset in the new bytes on, everything is that much further back than in the old ones; may be negative. */
  readonly shifts: Int32Array;
}

/**
 * The same program with
 * - a memory import that promises no pages: V8 then checks every access, also those at constant addresses, by its trap handler, and a
 *   protected start of the memory (native/src/pages.cc) traps instead of ending the process;
 * - block copies that look at their addresses first: V8 performs them in C++, where a protected page is no trap;
 * - with `checksNull`, loads and stores that look at their addresses first, where there is nothing that protects the start of the memory;
 * - with `isCounted`, a step counted down at each function's entry and each turn of a loop, so that a run ends at the same step everywhere;
 * - only the exports that the ABI has, no start function but one that the host calls, and no custom section but the names.
 * Indices stay what they were; what is new comes last.
 */
export function rewriteModule(module: ReadModule, form: ModuleForm): Rewritten {
  const { isCounted } = form;
  const out = new ByteWriter(module.bytes.length + module.bytes.length / 4);
  const plan: Plan = {
    module, ...form, type: module.types.length, copy: module.functionImports.length + module.functions.length, steps: module.globals.length, shifts: [],
  };
  out.bytes(module.bytes.subarray(0, 8));
  const left = new Map(writers);
  if (!isCounted) left.delete(SectionId.global);
  for (const section of module.sections) {
    // The one is for instructions that drivers cannot have, the other is exported.
    if (section.id === SectionId.dataCount || section.id === SectionId.start) continue;
    // A section that has to be there for what is added, and is not there, comes in its place.
    for (const [id, write] of left) {
      if (section.id === SectionId.custom || id >= section.id) break;
      left.delete(id);
      writeSection(out, id, write(plan, undefined, 0));
    }
    const write = left.get(section.id);
    left.delete(section.id);
    if (write !== undefined) {
      const content = write(plan, section, sectionStart(out));
      writeSection(out, section.id, content);
    } else if (section.id !== SectionId.custom) writeSection(out, section.id, module.bytes.subarray(section.from, section.to));
    else if (isNames(module, section)) writeSection(out, section.id, namesSection(module, section));
  }
  return { bytes: out.done().slice(), shifts: Int32Array.from(plan.shifts) };
}

/** Where an instruction of the rewritten module was in the original. */
export function originalOffset(shifts: Int32Array, offset: number): number {
  let low = 0;
  let high = shifts.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (shifts[2 * middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? offset : offset - shifts[2 * low - 1]!;
}

interface Plan extends BodyPlan {
  /** Index of the type of `copy` and `fill`. */
  readonly type: number;
  readonly shifts: number[];
}

/** The contents of a section; `at` is where they will begin at the least. */
type WriteSection = (plan: Plan, section: Section | undefined, at: number) => Uint8Array;

const writers: readonly (readonly [id: number, write: WriteSection])[] = [
  [SectionId.type, ({ module }, section) => appended(module, section, [[0x60, 3, 0x7f, 0x7f, 0x7f, 0]])],
  [SectionId.import, ({ module }, section) => importSection(module, section!)],
  [SectionId.function, ({ module, type }, section) => appended(module, section, [[...u32(type)], [...u32(type)]])],
  [SectionId.global, ({ module }, section) => appended(module, section, [[0x7f, 1, Op.i32Const, 0, Op.end]])],
  [SectionId.export, (plan) => exportSection(plan)],
  [SectionId.code, (plan, section, at) => codeSection(plan, section!, at)],
];

function u32(value: number): number[] {
  const writer = new ByteWriter(8);
  writer.u32(value);
  return [...writer.done()];
}

/** A section that is a list, with more entries at its end. */
function appended({ bytes }: ReadModule, section: Section | undefined, entries: readonly (readonly number[])[]): Uint8Array {
  const out = new ByteWriter();
  const reader = new ByteReader(bytes, section?.from ?? 0, section?.to ?? 0);
  out.u32((section === undefined ? 0 : reader.u32()) + entries.length);
  if (section !== undefined) out.bytes(bytes.subarray(reader.at, section.to));
  for (const entry of entries) out.bytes(entry);
  return out.done();
}

/** The functions as they are, and the memory with the widest limits: what it really has is the host's decision. */
function importSection(module: ReadModule, { from, to }: Section): Uint8Array {
  const out = new ByteWriter(to - from + 16);
  const reader = new ByteReader(module.bytes, from, to);
  const count = reader.u32();
  out.u32(count);
  for (let left = count; left > 0; left--) {
    const start = reader.at;
    reader.name();
    reader.name();
    const kind = reader.byte();
    if (kind === ExternalKind.memory) {
      out.bytes(module.bytes.subarray(start, reader.at));
      out.bytes([1, 0, ...u32(mostPages)]);
      reader.byte();
      reader.u32();
      reader.u32();
    } else {
      reader.u32();
      out.bytes(module.bytes.subarray(start, reader.at));
    }
  }
  return out.done();
}

function exportSection({ module, isCounted, steps }: Plan): Uint8Array {
  const out = new ByteWriter();
  const names = Object.keys(exportSignatures) as ExportName[];
  const exports: [name: string, kind: number, index: number][] = names.map((name) => [name, ExternalKind.function, exportedFunction(module, name)]);
  if (module.start !== undefined) exports.push([startExport, ExternalKind.function, module.start]);
  if (isCounted) exports.push([stepsExport, ExternalKind.global, steps]);
  out.u32(exports.length);
  for (const [name, kind, index] of exports) {
    out.name(name);
    out.byte(kind);
    out.u32(index);
  }
  return out.done();
}

function codeSection(plan: Plan, section: Section, at: number): Uint8Array {
  const { module } = plan;
  const out = new ByteWriter((section.to - section.from) * (plan.isCounted ? 1.5 : 1.1) + 256);
  const edits = module.bodies.map((body, index) => bodyEdits(plan, body, module.functions[index]!));
  const sizes = module.bodies.map(({ from, to }, index) => edits[index]!.reduce((size, edit) => size + edit.bytes.length - (edit.to - edit.from), to - from));
  const added = [copyFunction(plan), fillFunction(plan)];
  const count = sizes.length + added.length;
  // The section's own size stands before its contents: how long that is has to be known for the offsets.
  const contentBytes = [...sizes, ...added.map(({ length }) => length)].reduce((sum, size) => sum + u32Bytes(size) + size, u32Bytes(count));
  const start = at + u32Bytes(contentBytes);
  out.u32(count);
  const shift = (original: number): void => {
    const by = start + out.length - original;
    if (plan.shifts.at(-1) !== by) plan.shifts.push(start + out.length, by);
  };
  module.bodies.forEach(({ from, to }, index) => {
    out.u32(sizes[index]!);
    let copied = from;
    shift(copied);
    for (const edit of edits[index]!) {
      out.bytes(module.bytes.subarray(copied, edit.from));
      out.bytes(edit.bytes);
      copied = edit.to;
      shift(copied);
    }
    out.bytes(module.bytes.subarray(copied, to));
  });
  for (const body of added) {
    out.u32(body.length);
    out.bytes(body);
  }
  return out.done();
}

/** The names without the module's own, which V8 would put before each of the others. */
function namesSection({ bytes }: ReadModule, { from, to }: Section): Uint8Array {
  const out = new ByteWriter(to - from);
  const reader = new ByteReader(bytes, from, to);
  out.name(reader.name());
  while (!reader.atEnd) {
    const start = reader.at;
    const kind = reader.byte();
    reader.skip(reader.u32());
    if (kind !== 0) out.bytes(bytes.subarray(start, reader.at));
  }
  return out.done();
}

function isNames({ bytes }: ReadModule, { from, to }: Section): boolean {
  return new ByteReader(bytes, from, to).name() === "name";
}

/** Where a section's size will stand, behind its id. */
function sectionStart(out: ByteWriter): number {
  return out.length + 1;
}

function writeSection(out: ByteWriter, id: number, content: Uint8Array): void {
  out.byte(id);
  out.u32(content.length);
  out.bytes(content);
}
