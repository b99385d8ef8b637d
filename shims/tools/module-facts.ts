/** What a compiled driver says about itself: its licence, parameters, device tables, and which functions it calls. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { dataOf, type ObjectSymbol, type WasmObject } from "./wasm-object.ts";

export interface ModuleParameter {
  readonly name: string;
  /** As the kernel names it: "int", "charp", "bool", "array of int". */
  readonly type: string;
  readonly about: string;
}

/** One entry of a module's PCI table; undefined is any. */
export interface PciId {
  readonly vendor: number | undefined;
  readonly device: number | undefined;
  readonly subVendor: number | undefined;
  readonly subDevice: number | undefined;
  readonly classCode: number;
  readonly classMask: number;
}

export interface ModuleFacts {
  readonly license: string;
  readonly authors: readonly string[];
  readonly description: string;
  readonly version: string;
  /** MODULE_ALIAS texts: "platform:name". */
  readonly aliases: readonly string[];
  readonly parameters: readonly ModuleParameter[];
  readonly pci: readonly PciId[];
  /** The kinds of its device tables: "pci", "pnp", "of". */
  readonly tables: readonly string[];
  /** How many functions there are that a module's loading calls: module_init and its relatives. */
  readonly initFunctions: number;
  /** Functions it calls and does not define. */
  readonly calls: ReadonlySet<string>;
}

const pciIdBytes = 32;
const pciAny = 0xffff_ffff;
/** The environment's linux/init.h keeps what is called at loading under such names. */
const initSymbol = /^__UNIQUE_ID_airlock_initcalls\d+$/;
const deviceTable = /^__mod_([a-z0-9]+(?:_[a-z0-9]+)??)__.+_device_table$/;

/** The facts of a module's objects together. */
export function moduleFacts(objects: readonly WasmObject[]): ModuleFacts {
  const info = objects.flatMap(modinfo);
  const values = (key: string): string[] => info.filter(([name]) => name === key).map(([, value]) => value);
  const symbols = objects.flatMap((object) => object.symbols.map((symbol) => ({ object, symbol })));
  const defined = new Set(symbols.filter(({ symbol }) => symbol.defined).map(({ symbol }) => symbol.name));
  const undefinedFunctions = symbols.filter(({ symbol }) => symbol.kind === "function" && !symbol.defined && !defined.has(symbol.name));
  return {
    license: values("license")[0] ?? "",
    authors: values("author"),
    description: values("description")[0] ?? "",
    version: values("version")[0] ?? "",
    aliases: [...new Set(values("alias"))],
    parameters: parameters(values("parmtype"), values("parm")),
    pci: symbols.filter(({ symbol }) => symbol.defined && tableKind(symbol.name) === "pci").flatMap(({ object, symbol }) => pciIds(object, symbol)),
    tables: [...new Set(symbols.flatMap(({ symbol }) => (symbol.defined ? tableKind(symbol.name) ?? [] : [])))],
    initFunctions: symbols.filter(({ symbol }) => symbol.defined && initSymbol.test(symbol.name)).length,
    calls: new Set(undefinedFunctions.map(({ symbol }) => symbol.name)),
  };
}

/** The "key=value" texts of the section .modinfo. */
function modinfo({ segments }: WasmObject): [string, string][] {
  return segments.filter(({ name }) => name === ".modinfo" || name.startsWith(".modinfo.")).flatMap(({ bytes }) =>
    Buffer.from(bytes).toString("utf8").split("\0").filter((text) => text.includes("=")).map((text): [string, string] => {
      const at = text.indexOf("=");
      return [text.slice(0, at), text.slice(at + 1)];
    }));
}

function parameters(types: readonly string[], abouts: readonly string[]): ModuleParameter[] {
  const split = (text: string): [string, string] => [text.slice(0, text.indexOf(":")), text.slice(text.indexOf(":") + 1)];
  const about = new Map(abouts.filter((text) => text.includes(":")).map(split));
  return types.filter((text) => text.includes(":")).map(split).map(([name, type]) => ({ name, type, about: about.get(name) ?? "" }));
}

/** "__mod_pci__ids_device_table" -> "pci". */
function tableKind(symbol: string): string | undefined {
  return deviceTable.exec(symbol)?.[1];
}

function pciIds(object: WasmObject, symbol: ObjectSymbol): PciId[] {
  const bytes = dataOf(object, symbol);
  if (bytes === undefined) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ids: PciId[] = [];
  for (let at = 0; at + pciIdBytes <= bytes.length; at += pciIdBytes) {
    const word = (index: number): number => view.getUint32(at + index * 4, true);
    const id = (index: number): number | undefined => (word(index) === pciAny ? undefined : word(index));
    if (word(0) === 0 && word(1) === 0 && word(2) === 0 && word(4) === 0 && word(5) === 0) break;
    ids.push({ vendor: id(0), device: id(1), subVendor: id(2), subDevice: id(3), classCode: word(4), classMask: word(5) });
  }
  return ids;
}
