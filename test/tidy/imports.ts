/** The imports of a source file, and the files they mean. */
import path from "node:path";
import { codeOnly } from "./code-text.ts";
import { lineAt, type SourceFile } from "./source-tree.ts";

export interface Import {
  /** The importing file. */
  readonly from: string;
  readonly line: number;
  readonly specifier: string;
  /** The imported file of this project, for a relative specifier. */
  readonly target: string | undefined;
  /** `import type`, `export type`: gone in the built code. */
  readonly typeOnly: boolean;
}

const statement = /\b(?:import|export)\b([\w*\s{},$]*?\bfrom\b)?\s*(["'])( *)\2/g;
const call = /\bimport\s*\(\s*(["'])( *)\1/g;

/** Static imports, re-exports, and dynamic imports of a constant. */
export function importsOf(file: SourceFile): Import[] {
  const code = codeOnly(file.text);
  const found: Import[] = [];
  const add = (match: RegExpExecArray, length: number, typeOnly: boolean): void => {
    const end = match.index + match[0].length - 1;
    const specifier = file.text.slice(end - length, end);
    const target = specifier.startsWith(".") ? path.posix.join(path.posix.dirname(file.path), specifier) : undefined;
    found.push({ from: file.path, line: lineAt(file.text, match.index), specifier, target, typeOnly });
  };
  for (const match of code.matchAll(statement)) {
    if (match[1] === undefined && match[0].startsWith("export")) continue;
    add(match, match[3]!.length, /^\s*type\b/.test(match[1] ?? ""));
  }
  for (const match of code.matchAll(call)) add(match, match[2]!.length, false);
  return found;
}

/** Files that do nothing but pass on what others export; "export *" anywhere counts too. */
export function isBarrel(file: SourceFile): boolean {
  const code = codeOnly(file.text);
  if (/\bexport\s*\*/.test(code)) return true;
  const rest = code.replaceAll(/\bexport\b[\w\s{},$]*?\bfrom\s*["'] *["'];?/g, "").replaceAll(/\bimport\b[\w*\s{},$]*?\bfrom\s*["'] *["'];?/g, "");
  return /\bexport\b/.test(code) && rest.replaceAll(/\bexport\s*\{[^}]*\};?/g, "").trim() === "";
}

/** One import cycle among these imports: the files in order, the first again at the end. Undefined when there is none. */
export function findCycle(imports: readonly Import[]): string[] | undefined {
  const targets = new Map<string, string[]>();
  for (const { from, target } of imports) if (target !== undefined) targets.set(from, [...(targets.get(from) ?? []), target]);
  const done = new Set<string>();
  const visit = (file: string, above: readonly string[]): string[] | undefined => {
    if (above.includes(file)) return [...above.slice(above.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const target of targets.get(file) ?? []) {
      const cycle = visit(target, [...above, file]);
      if (cycle !== undefined) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of targets.keys()) {
    const cycle = visit(file, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
