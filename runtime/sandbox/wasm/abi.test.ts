/** The border in TypeScript against the border in C: every constant, signature and layout of shims/abi/airlock.h. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { IrqOp, LogLevel, mailboxBytes } from "../../api/bridge.ts";
import { RecordKind, maxPayloadBytes, recordHeaderBytes } from "../../api/records.ts";
import {
  abiVersion, exportSignatures, exportedAddresses, failReasons, faultPlaces, importModule, importSignatures, irqBytes, memoryImport, moduleFaults, nameBytes, nullBytes,
  optionBytes, regionBytes, rightBits, setupFlags, setupHeaderBytes, windowBytes,
} from "./abi.ts";

const header = readFileSync(new URL("../../../shims/abi/airlock.h", import.meta.url), "utf8");
const code = header.replaceAll(/\/\*[\s\S]*?\*\//g, "");
const constants = new Map([...code.matchAll(/^#define AIRLOCK_(\w+) (0x[0-9a-f]+|\d+)u?\s*$/gm)].map(([, name, value]) => [name!, Number(value)]));

/** Names and values of the constants that begin with this prefix. */
function group(prefix: string): Record<string, number> {
  return Object.fromEntries([...constants].filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [name.slice(prefix.length), value]));
}

const upper = (name: string): string => name.replaceAll(/[A-Z]/g, "_$&").toUpperCase();
const byUpper = (values: Readonly<Record<string, number>>): Record<string, number> => Object.fromEntries(Object.entries(values).map(([name, value]) => [upper(name), value]));

test("constants", () => {
  expect(constants.get("ABI_VERSION")).toBe(abiVersion);
  expect(constants.get("MAILBOX_BYTES")).toBe(mailboxBytes);
  expect(constants.get("PAYLOAD_MOST")).toBe(maxPayloadBytes);
  expect(constants.get("NAME_BYTES")).toBe(nameBytes);
  expect(group("RECORD_")).toEqual(byUpper(RecordKind));
  expect(group("IRQ_")).toEqual(byUpper(IrqOp));
  expect(group("LOG_")).toEqual(byUpper(LogLevel));
  expect(group("FAIL_")).toEqual(Object.fromEntries(Object.entries(failReasons).map(([number, { constant }]) => [constant, Number(number)])));
  expect(group("FAULT_")).toEqual(moduleFaults);
  expect(group("SETUP_")).toEqual(setupFlags);
  expect(group("AT_")).toEqual(faultPlaces);
  expect(group("RIGHT_")).toEqual({ READ: rightBits.read, WRITE: rightBits.write });
  expect(rightBits.readwrite).toBe(rightBits.read | rightBits.write);
});

test("register windows lie above every memory a driver can have", () => {
  expect(constants.get("COOKIE_BASE")!).toBeGreaterThan(2 ** 31);
});

/** WebAssembly's type for one of C's, on wasm32. */
function valueType(type: string): string {
  if (type.includes("*")) return "i32";
  return type.trim().startsWith("double") ? "f64" : "i32";
}

describe("functions", () => {
  const declared = [...code.matchAll(/AIRLOCK_IMPORT\((\w+)\)\s+(\w+)\s+airlock_\w+\(([^)]*)\)/g)];

  test("every import is declared in C with the signature that is checked", () => {
    expect(new Set(declared.map(([, name]) => name))).toEqual(new Set(Object.keys(importSignatures)));
    for (const [, name, result, parameters] of declared) {
      const types = parameters === "void" ? [] : parameters!.split(",").map(valueType);
      expect({ name, parameters: types, results: result === "void" ? [] : [valueType(result!)] }).toEqual({ name, ...importSignatures[name as keyof typeof importSignatures] });
    }
    expect(code).toContain(`import_module("${importModule}")`);
    expect(header).toContain(`"${importModule}" "${memoryImport}"`);
    expect(header).toContain(`its first ${nullBytes / 1024} KiB hold nothing`);
  });

  test("every export is described in C", () => {
    const described = [...header.matchAll(/^ \*\s+void (airlock_\w+)\(([^)]*)\)/gm)];
    expect(new Set(described.map(([, name]) => name))).toEqual(new Set(Object.keys(exportSignatures)));
    for (const [, name, parameters] of described) {
      const types = parameters === "void" ? [] : parameters!.split(",").map(() => "i32");
      expect({ name, types }).toEqual({ name, types: exportSignatures[name as keyof typeof exportSignatures].parameters });
    }
    for (const name of exportedAddresses) expect(header).toContain(`\`${name}\``);
  });
});

test("layouts: every field is a 32-bit word or a text, without gaps", () => {
  const size = (struct: string): number => {
    const fields = new RegExp(`struct ${struct} \\{([^}]*)\\}`).exec(code)![1]!;
    const sizes: Readonly<Record<string, number>> = { airlock_u32: 4, airlock_u16: 2, airlock_u8: 1, char: 1 };
    return [...fields.matchAll(/(\w+) \w+(?:\[(\w+)\])?;/g)].reduce((sum, [, type, count]) => {
      const length = count === undefined ? 1 : constants.get(count.replace("AIRLOCK_", "")) ?? Number(count);
      return sum + sizes[type!]! * length;
    }, 0);
  };
  expect(size("airlock_record")).toBe(recordHeaderBytes);
  expect(size("airlock_setup")).toBe(setupHeaderBytes);
  expect(size("airlock_window")).toBe(windowBytes);
  expect(size("airlock_irq")).toBe(irqBytes);
  expect(size("airlock_region")).toBe(regionBytes);
  expect(size("airlock_option")).toBe(optionBytes);
});
