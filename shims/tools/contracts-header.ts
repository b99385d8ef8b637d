/** Writes class contracts as C: ids, limits and packed structs with the layouts of runtime/classes/<class>/contract.ts. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import type { ClassContract, Queue } from "../../runtime/api/contract.ts";
import type { Field, Struct } from "../../runtime/api/layout.ts";

/** A class as its contract module exports it: the contract under the class's name, and numbers and tables of numbers. */
export interface ContractModule {
  readonly name: string;
  readonly contract: ClassContract;
  readonly exports: Readonly<Record<string, unknown>>;
}

/** Words that C keeps to itself; a field of such a name gets a trailing underscore. */
const reserved = new Set(
  ("auto break case char const continue default do double else enum extern float for goto if inline int long register restrict"
  + " return short signed sizeof static struct switch typedef union unsigned void volatile while").split(" "),
);

/** The text of shims/abi/contracts.h for these classes, sorted by name. */
export function contractsHeader(modules: readonly ContractModule[]): string {
  const sorted = modules.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return [
    "/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */",
    "/*",
    " * The class contracts for C: ids, limits and layouts of all messages and queue entries.",
    " * Made from runtime/classes/<class>/contract.ts by shims/tools/generate-contracts.ts, as shims/abi/README.md says; not edited.",
    " */",
    "#ifndef AIRLOCK_CONTRACTS_H",
    "#define AIRLOCK_CONTRACTS_H",
    "",
    '#include "airlock.h"',
    ...sorted.flatMap(classLines),
    "",
    "#endif",
    "",
  ].join("\n");
}

function classLines({ name, contract, exports }: ContractModule): string[] {
  const prefix = macro("airlock", name);
  return [
    "",
    `/* ---- class ${name} ---- */`,
    "",
    define(`${prefix}_CONTRACT`, contract.version),
    ...constantLines(prefix, exports),
    ...contract.operationList.flatMap(({ id, name: operation, args, reply }) => [
      "",
      define(macro(prefix, operation), id),
      ...structLines(snake(`airlock_${name}_${snake(operation)}_args`), args),
      ...structLines(snake(`airlock_${name}_${snake(operation)}_reply`), reply),
    ]),
    ...contract.eventList.flatMap(({ id, name: event, payload }) => [
      "",
      define(macro(prefix, "event", event), id),
      ...structLines(snake(`airlock_${name}_${snake(event)}_event`), payload),
    ]),
    ...contract.queueList.flatMap((queue) => queueLines(name, queue)),
  ];
}

/** Numbers and tables of numbers that the contract's module exports: limits, states, flags. */
function constantLines(prefix: string, exports: ContractModule["exports"]): string[] {
  return Object.entries(exports).sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, value]) => {
    if (isCount(value)) return [define(macro(prefix, name), value)];
    if (typeof value !== "object" || value === null || Object.values(value).length === 0 || !Object.values(value).every(isCount)) return [];
    // The table's name often repeats the class's: BlockOp of block.
    const table = macro(name);
    const own = prefix.replace("AIRLOCK_", "");
    const start = table.startsWith(`${own}_`) ? `AIRLOCK_${table}` : `${prefix}_${table}`;
    return Object.entries(value as Record<string, number>).map(([key, number]) => define(`${start}_${macro(key)}`, number));
  });
}

function queueLines(className: string, { id, name, depth, request, completion }: Queue): string[] {
  const prefix = macro("airlock", className);
  const entry = (what: string, words: number, at: Readonly<Record<string, number>>): string[] => {
    const names = Object.entries(at).sort(([, a], [, b]) => a - b).map(([word]) => word);
    const struct = `struct airlock_${snake(className)}_${snake(name)}_${what}`;
    return [
      define(`${macro(prefix, name, what)}_WORDS`, words),
      ...names.map((word, index) => define(`${macro(prefix, name, what)}_AT_${macro(word)}`, index)),
      `${struct} {`, ...names.map((word) => `\tairlock_u32 ${field(word)};`), "};",
      `_Static_assert(sizeof(${struct}) == ${words * 4}, "layout");`,
    ];
  };
  return [
    "", define(macro(prefix, "queue", name), id), define(`${macro(prefix, "queue", name)}_DEPTH`, depth),
    ...entry("request", request.words, request.at), ...entry("completion", completion.words, completion.at),
  ];
}

/** A packed struct; nothing but its length, 0, for an empty layout, which C has no struct for. */
function structLines(name: string, { fields, fixedBytes, maxBytes }: Struct<Readonly<Record<string, Field<unknown>>>>): string[] {
  const lines = [define(`${name.toUpperCase()}_BYTES`, fixedBytes)];
  if (Object.keys(fields).length === 0) return lines;
  if (maxBytes > fixedBytes) lines.push(define(`${name.toUpperCase()}_MOST_BYTES`, maxBytes));
  const values: string[] = [];
  const members: string[] = [];
  const asserts = [`_Static_assert(sizeof(struct ${name}) == ${fixedBytes}, "layout");`];
  let at = 0;
  for (const [key, each] of Object.entries(fields)) {
    const member = field(key);
    const names = namesOf(each);
    values.push(...names.map((value, index) => define(`${name.toUpperCase()}_${macro(key)}_${macro(value)}`, index)));
    if (each.tailBytes > 0) members.push(`\tairlock_u16 ${member}_bytes;`, `\tairlock_u8 ${member}[];`);
    else members.push(`\t${typeOf(each)} ${member};${commentOf(each, names)}`);
    asserts.push(`_Static_assert(__builtin_offsetof(struct ${name}, ${member}) == ${each.tailBytes > 0 ? at + 2 : at}, "layout");`);
    at += each.sizeBytes;
  }
  return [...lines, ...values, `struct ${name} {`, ...members, "} __attribute__((packed));", ...asserts];
}

/** The values of a `oneOf` field in order; none for every other field. Reading a byte gives a text only there. */
function namesOf(each: Field<unknown>): string[] {
  const names: string[] = [];
  if (each.sizeBytes !== 1) return names;
  const view = new DataView(new ArrayBuffer(1));
  for (let value = 0; value < 256; value++) {
    view.setUint8(0, value);
    const read = each.read(view, 0);
    if (typeof read !== "string") break;
    names.push(read);
  }
  return names;
}

function typeOf({ sizeBytes }: Field<unknown>): string {
  const type = { 1: "airlock_u8", 2: "airlock_u16", 4: "airlock_u32", 8: "double" }[sizeBytes];
  if (type === undefined) throw new RangeError(`a field of ${sizeBytes} bytes has no C type here`);
  return type;
}

function commentOf(each: Field<unknown>, names: readonly string[]): string {
  if (names.length > 0) return "";
  return ` /* ${each.range === "true or false" ? "0 or 1" : each.range} */`;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

function define(name: string, value: number): string {
  return `#define ${name} ${value}u`;
}

/** "maxTransferBytes" -> "max_transfer_bytes". */
function snake(name: string): string {
  return name.replaceAll("-", "_").replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
}

function macro(...names: readonly string[]): string {
  return names.map((name) => snake(name).toUpperCase()).join("_");
}

function field(name: string): string {
  const member = snake(name);
  return reserved.has(member) ? `${member}_` : member;
}
