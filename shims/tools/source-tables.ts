/** Reads device tables out of a driver's source: those that its compiled form lacks, because the environment has no such bus. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/** Ids of the tables for PnP and for device trees, lower case, as they are written: "pnp0b00", "motorola,mc146818". */
export interface SourceTables {
  readonly pnp: readonly string[];
  readonly deviceTree: readonly string[];
}

/** A table's definition: its kind, and what stands between its braces. */
const table = /\bstruct\s+(pnp|acpi|of)_device_id\s+\w+\s*\[\s*\w*\s*\][^={;]*=\s*\{([\s\S]*?)\n\s*\}\s*;/g;

/** The ids in a driver's files together, each once. */
export function sourceTables(texts: readonly string[]): SourceTables {
  const found = texts.flatMap((text) => [...withoutComments(text).matchAll(table)]).map(([, kind, entries]) => ({ kind: kind!, entries: entries! }));
  const ids = (kinds: readonly string[], pattern: RegExp): string[] => {
    const all = found.filter(({ kind }) => kinds.includes(kind)).flatMap(({ entries }) => [...entries.matchAll(pattern)].map(([, id]) => id!.toLowerCase()));
    return [...new Set(all)];
  };
  return { pnp: ids(["pnp", "acpi"], /"([A-Za-z]{3}[0-9A-Fa-f]{4})"/g), deviceTree: ids(["of"], /\.compatible\s*=\s*"([^"\n]{1,64})"/g) };
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, " ").replaceAll(/\/\/.*$/gm, " ");
}
