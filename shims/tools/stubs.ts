/** Writes the functions nobody defines, as assembler with their exact types: each does what the policy table says, or ends the module and says its name. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { AirlockError } from "../../runtime/api/errors.ts";
import { type FunctionType, type ImportedFunction, typeText } from "./wasm-reader.ts";

/** AIRLOCK_FAIL_MISSING of shims/abi/airlock.h. */
const failMissing = 2;

/** What a function nobody defines does: returns this number, returns nothing, or ends the module although that is known. */
export type StubPolicy = number | "nothing" | "trap";

/**
 * Reads the policy table: a function and a number, `nothing` or `trap` on each line.
 * @throws AirlockError InvalidArgument for a line that is something else, and for a function that is there twice
 */
export function parsePolicies(lines: readonly string[], file: string): Map<string, StubPolicy> {
  const policies = new Map<string, StubPolicy>();
  for (const line of lines) {
    const [, name, what] = /^([A-Za-z_]\w*)\s+(-?\d+|nothing|trap)$/.exec(line) ?? [];
    if (name === undefined || what === undefined) {
      throw new AirlockError("InvalidArgument", `${file}: "${line}" is no stub policy; write a function and a number, "nothing" or "trap"`, { file });
    }
    if (policies.has(name)) throw new AirlockError("InvalidArgument", `${file}: ${name} is there twice; remove one line`, { file, function: name });
    policies.set(name, what === "nothing" || what === "trap" ? what : Number(what));
  }
  return policies;
}

export interface Stubs {
  /** The assembler's text. */
  readonly text: string;
  /** Functions that are missing and in no table, sorted. */
  readonly missing: readonly string[];
  /** Functions the table speaks of, sorted. */
  readonly known: readonly string[];
}

/** Stubs for what a link left undefined. @throws AirlockError InvalidArgument where the table contradicts a function's type */
export function makeStubs(undefinedFunctions: readonly ImportedFunction[], policies: ReadonlyMap<string, StubPolicy>): Stubs {
  const sorted = undefinedFunctions.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const functions = sorted.map(({ name, type }, index) => functionText(name, type, policies.get(name), index));
  const missing = sorted.map(({ name }) => name).filter((name) => !policies.has(name));
  const known = sorted.map(({ name }) => name).filter((name) => policies.has(name));
  return { text: [header, ...functions].join("\n"), missing, known };
}

const header = `\t.functype airlock_fail (i32, i32, i32) -> ()
\t.import_module airlock_fail, airlock
\t.import_name airlock_fail, fail
`;

function functionText(name: string, type: FunctionType, policy: StubPolicy | undefined, index: number): string {
  const body = policy === undefined || policy === "trap" ? failing(name, index) : returning(name, type, policy);
  return `\t.section .text.${name},"",@
\t.globl ${name}
\t.type ${name},@function
${name}:
\t.functype ${name} ${typeText(type)}
${body.map((line) => `\t${line}\n`).join("")}\tend_function
${policy === undefined || policy === "trap" ? nameData(name, index) : ""}`;
}

function failing(name: string, index: number): string[] {
  return [`i32.const ${failMissing}`, `i32.const .Lmissing${index}`, `i32.const ${Buffer.byteLength(name)}`, "call airlock_fail", "unreachable"];
}

function returning(name: string, { results }: FunctionType, policy: number | "nothing"): string[] {
  const [result] = results;
  if ((result === undefined) !== (policy === "nothing")) {
    const is = result === undefined ? "returns nothing" : `returns a value (${result})`;
    throw new AirlockError("InvalidArgument", `the stub policy of ${name} is "${policy}", but the function ${is}; correct the table`, { function: name });
  }
  return result === undefined ? [] : [`${result}.const ${policy}`];
}

function nameData(name: string, index: number): string {
  return `\t.section .rodata.missing.${name},"",@
.Lmissing${index}:
\t.ascii "${name}"
\t.size .Lmissing${index}, ${Buffer.byteLength(name)}
`;
}
