/** Reads the lists beside the C code: one entry per line, "#" starts a comment, {kernel} and {shims} stand for folders. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { readFileSync } from "node:fs";

/** Folders that stand for the placeholders of a list. */
export interface Folders {
  readonly kernel: string;
  readonly shims: string;
}

/** The lines of a list without comments and blanks; none when the file is not there. */
export function readList(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return listLines(text);
}

/** A "#" begins a comment at a line's start or after a blank, so that it may stand within a flag. */
export function listLines(text: string): string[] {
  return text.split("\n").map((line) => line.replace(/(?:^|\s)#.*$/, "").trim()).filter((line) => line !== "");
}

/** The line with its placeholders filled in. @throws RangeError for one that there is not */
export function fillIn(line: string, folders: Folders): string {
  return line.replaceAll(/\{([a-z]+)\}/g, (whole, name: string) => {
    if (name === "kernel") return folders.kernel;
    if (name === "shims") return folders.shims;
    throw new RangeError(`${whole} stands for nothing; there are {kernel} and {shims}`);
  });
}
