/** Reads DWARF line tables (DWARF 4, 6.2): which source line each address of the code comes from. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { Reader } from "./wasm-reader.ts";

/** From this address to the next row's the code is of that line. */
export interface LineRow {
  readonly address: number;
  readonly file: string;
  /** From 1; 0 for code of no line. */
  readonly line: number;
  readonly column: number;
}

/** Rows of one piece of code: addresses only grow, and end before `end`. */
export interface LineSequence {
  readonly rows: readonly LineRow[];
  readonly end: number;
}

/** Standard and extended opcodes (6.2.5.2, 6.2.5.3). */
const Opcode = {
  extended: 0, copy: 1, advancePc: 2, advanceLine: 3, setFile: 4, setColumn: 5, negateStatement: 6, setBasicBlock: 7, constAddPc: 8, fixedAdvancePc: 9,
  setPrologueEnd: 10, setEpilogueBegin: 11, setIsa: 12,
} as const;
const Extended = { endSequence: 1, setAddress: 2, defineFile: 3, setDiscriminator: 4 } as const;
const firstStandard = 13;

interface Header {
  readonly files: readonly string[];
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  readonly leastInstruction: number;
  readonly operands: readonly number[];
}

/** Every sequence of the section .debug_line. @throws RangeError for what is no line table of version 2 to 4 */
export function readLines(section: Uint8Array): LineSequence[] {
  const sequences: LineSequence[] = [];
  const reader = new Reader(section);
  while (!reader.ended) {
    const length = reader.u32();
    const end = reader.at + length;
    const unit = new Reader(section, reader.at, end);
    sequences.push(...readProgram(unit, readHeader(unit)));
    reader.skip(length);
  }
  return sequences;
}

function readHeader(unit: Reader): Header {
  const version = unit.u16();
  if (version < 2 || version > 4) throw new RangeError(`a line table is of version ${version}; 2 to 4 are read`);
  const headerLength = unit.u32();
  const programAt = unit.at + headerLength;
  const leastInstruction = unit.u8();
  if (version >= 4) unit.u8();
  unit.u8();
  const lineBase = (unit.u8() << 24) >> 24;
  const lineRange = unit.u8();
  const opcodeBase = unit.u8();
  if (lineRange === 0) throw new RangeError("a line table has no range");
  const operands = Array.from({ length: opcodeBase - 1 }, () => unit.u8());
  const folders = [""];
  for (let folder = unit.terminated(); folder !== ""; folder = unit.terminated()) folders.push(folder);
  const files = [""];
  for (let file = unit.terminated(); file !== ""; file = unit.terminated()) {
    const folder = folders[unit.unsigned()] ?? "";
    unit.unsigned();
    unit.unsigned();
    files.push(folder === "" || file.startsWith("/") ? file : `${folder}/${file}`);
  }
  unit.at = programAt;
  return { files, lineBase, lineRange, opcodeBase, leastInstruction, operands };
}

function readProgram(unit: Reader, header: Header): LineSequence[] {
  const sequences: LineSequence[] = [];
  let rows: LineRow[] = [];
  let state = { address: 0, file: 1, line: 1, column: 0 };
  const emit = (): void => {
    rows.push({ address: state.address, file: header.files[state.file] ?? "", line: state.line, column: state.column });
  };
  while (!unit.ended) {
    const opcode = unit.u8();
    if (opcode >= header.opcodeBase) {
      const adjusted = opcode - header.opcodeBase;
      state.address += Math.floor(adjusted / header.lineRange) * header.leastInstruction;
      state.line += header.lineBase + (adjusted % header.lineRange);
      emit();
    } else if (opcode === Opcode.extended) {
      const length = unit.unsigned();
      const next = unit.at + length;
      const kind = unit.u8();
      if (kind === Extended.setAddress) state.address = unit.u32();
      else if (kind === Extended.endSequence) {
        sequences.push({ rows, end: state.address });
        rows = [];
        state = { address: 0, file: 1, line: 1, column: 0 };
      }
      unit.at = next;
    } else if (opcode === Opcode.copy) emit();
    else step(unit, opcode, state, header);
  }
  return sequences;
}

function step(unit: Reader, opcode: number, state: { address: number; file: number; line: number; column: number }, header: Header): void {
  if (opcode === Opcode.advancePc) state.address += unit.unsigned() * header.leastInstruction;
  else if (opcode === Opcode.advanceLine) state.line += unit.signed();
  else if (opcode === Opcode.setFile) state.file = unit.unsigned();
  else if (opcode === Opcode.setColumn) state.column = unit.unsigned();
  else if (opcode === Opcode.constAddPc) state.address += Math.floor((255 - header.opcodeBase) / header.lineRange) * header.leastInstruction;
  else if (opcode === Opcode.fixedAdvancePc) state.address += unit.u16();
  else if (opcode >= firstStandard || opcode === Opcode.setIsa) {
    for (let count = header.operands[opcode - 1] ?? 0; count > 0; count--) unit.unsigned();
  }
}
