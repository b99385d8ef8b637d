/** Reads as much of Kconfig as says what a symbol is and which others it selects. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

export interface ConfigSymbol {
  readonly name: string;
  /** Whether it can be a module. */
  readonly tristate: boolean;
  /** Symbols it selects, under whatever condition; not those that it only implies. */
  readonly selects: readonly string[];
  /** Those of them without a condition. */
  readonly alwaysSelects: readonly string[];
  /** Symbols it depends on, but for those that may as well be off: "X || X=n". */
  readonly needs: readonly string[];
  /** What it depends on, as it is written: each of these must hold. */
  readonly conditions: readonly string[];
  /** Its one line for menus; "" when it has none. */
  readonly prompt: string;
}

/** What ends the description of a symbol besides the next one. */
const otherEntries = new Set(["menu", "endmenu", "choice", "endchoice", "comment", "source", "mainmenu", "if", "endif"]);

/** A symbol while its description is read. */
interface Growing extends ConfigSymbol {
  tristate: boolean;
  prompt: string;
  readonly selects: string[];
  readonly alwaysSelects: string[];
  readonly needs: string[];
  readonly conditions: string[];
}

/** The symbols of one Kconfig file, in order. A symbol that is described twice comes twice. */
export function parseKconfig(text: string): ConfigSymbol[] {
  const symbols: Growing[] = [];
  /** The conditions around the present place. */
  const around: string[] = [];
  let symbol: Growing | undefined;
  for (const line of withoutHelp(text)) {
    const [keyword = "", name = ""] = line.trim().split(/\s+/);
    if (keyword === "config" || keyword === "menuconfig") {
      symbols.push(symbol = { name, tristate: false, selects: [], alwaysSelects: [], needs: [...new Set(around.flatMap(neededBy))], conditions: [...around], prompt: "" });
    } else if (otherEntries.has(keyword)) symbol = undefined;
    if (keyword === "if") around.push(conditionOf(line));
    else if (keyword === "endif") around.pop();
    if (symbol === undefined) continue;
    if (keyword === "select") {
      symbol.selects.push(name);
      if (!/\sif\s/.test(line)) symbol.alwaysSelects.push(name);
    } else if (keyword === "depends") {
      symbol.needs.push(...neededBy(conditionOf(line)));
      symbol.conditions.push(conditionOf(line));
    }
    else if (keyword === "tristate" || keyword === "def_tristate") symbol.tristate = true;
    symbol.prompt ||= /^\s*(?:tristate|bool|prompt)\s+"([^"]*)"/.exec(line)?.[1] ?? "";
  }
  return symbols;
}

/** The lines that are not blank and not part of a help text, which goes on as long as its first line's indentation does. */
function withoutHelp(text: string): string[] {
  let helpIndent: number | undefined;
  let isHelp = false;
  return text.replaceAll(/\\\r?\n/g, " ").split("\n").filter((line) => {
    if (line.trim() === "") return false;
    if (isHelp) {
      const indent = indentOf(line);
      helpIndent ??= indent;
      if (indent >= helpIndent && indent > 0) return false;
      isHelp = false;
    }
    if (/^\s*(?:help|---help---)\s*$/.test(line)) [isHelp, helpIndent] = [true, undefined];
    return true;
  });
}

/** What stands behind "depends on" or "if". */
function conditionOf(line: string): string {
  return line.replace(/^\s*(?:depends\s+on|if)\b/, "").replace(/#.*$/, "").trim().replaceAll(/\s+/g, " ");
}

/** The symbols of "A && (B || C=n) && !D": A and B. */
function neededBy(expression: string): string[] {
  const off = new Set([...expression.matchAll(/!\s*(\w+)|\b(\w+)\s*=\s*n\b/g)].map(([, left, right]) => left ?? right));
  const names = [...expression.matchAll(/\b[A-Z][A-Z0-9_]*\b/g)].map(([name]) => name);
  return [...new Set(names)].filter((name) => !off.has(name));
}

/** A tab reaches to the next column that is a multiple of 8. */
function indentOf(line: string): number {
  let column = 0;
  for (const char of line) {
    if (char === " ") column++;
    else if (char === "\t") column += 8 - (column % 8);
    else break;
  }
  return column;
}
