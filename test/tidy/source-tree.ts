/** The project's own files as the tidy tests see them: path and text, read once; a fake tree is just a list of them. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

export interface SourceFile {
  /** Relative to the project's root, with "/". */
  readonly path: string;
  readonly text: string;
}

export const root = path.resolve(import.meta.dirname, "../..");

/** What .gitignore leaves out, and git's own folder (a file in a linked work tree). */
const notOurs = new Set([".git", "node_modules", "dist", "native/build", "native/prebuilds", "coverage", ".airlock"]);

/** Every file of the project below `folder`. All of them are text. */
export function readTree(folder = root): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (relative: string): void => {
    const entries = readdirSync(path.join(folder, relative), { withFileTypes: true });
    // A package that "airlock build" made leaves itself out.
    if (entries.some(({ name }) => name === ".gitignore") && relative !== "" && readFileSync(path.join(folder, relative, ".gitignore"), "utf8") === "*\n") return;
    for (const entry of entries) {
      const name = relative === "" ? entry.name : `${relative}/${entry.name}`;
      if (notOurs.has(name) || name.endsWith(".tsbuildinfo")) continue;
      if (entry.isDirectory()) visit(name);
      else if (entry.isFile()) files.push({ path: name, text: readFileSync(path.join(folder, name), "utf8") });
    }
  };
  visit("");
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Whether this file only serves tests: such files import freely, and product code never imports them. */
export function isTestCode(file: string): boolean {
  return file.startsWith("test/") || /\.(?:test|suite)\.ts$/.test(file) || /(?:^|\/)test-[^/]*\.ts$/.test(file);
}

/** The line of an offset, counted from 1. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

/** A fake tree of a checker's own test: path -> text. */
export function fakeTree(files: Readonly<Record<string, string>>): SourceFile[] {
  return Object.entries(files).map(([name, text]) => ({ path: name, text }));
}
