/** Reads as much of a Kbuild Makefile as says which objects a module has and with which flags they are compiled. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/** The value of a configuration symbol without its CONFIG_: "y", "m", a text, or "" when it is not set. */
export type Config = (symbol: string) => string;

/** One entry of an obj- list: an object, or with a slash at its end a folder. */
export interface KbuildEntry {
  readonly target: string;
  /** The configuration symbol it depends on, without CONFIG_; undefined in obj-y and obj-m. */
  readonly symbol: string | undefined;
}

/** What a Makefile says. All names are relative to its folder. */
export interface Kbuild {
  readonly entries: readonly KbuildEntry[];
  /** The objects that make `target` ("card.o"), in order; undefined when it is compiled from one file of its name. */
  partsOf(target: string, config: Config): readonly string[] | undefined;
  /** Flags for every object of this folder. */
  flags(config: Config): readonly string[];
  /** Flags for this object and no other. */
  flagsOf(object: string): readonly string[];
  /** Flags for the objects of this folder and of every folder below it. */
  flagsBelow(config: Config): readonly string[];
}

/** Includes and expansions may name each other only so deep. */
const expansionDepth = 8;

interface Assignment {
  readonly name: string;
  /** What stood behind the last "-" of the name when that was a configuration symbol. */
  readonly symbol: string | undefined;
  readonly append: boolean;
  readonly value: string;
}

/**
 * Parses `text`. Conditionals are decided with `config`; `place` says what $(src) and $(srctree) are. What needs a shell or make's
 * rules is left out.
 */
export function parseKbuild(text: string, config: Config, place: { readonly folder: string; readonly tree: string }): Kbuild {
  const assignments = assignmentsOf(text, config);
  const raw = new Map<string, string>();
  for (const { name, symbol, append, value } of assignments) {
    const key = symbol === undefined ? name : `${name}$${symbol}`;
    raw.set(key, append && raw.has(key) ? `${raw.get(key)!} ${value}` : value);
  }
  const expand = (value: string, depth = 0): string => expandValue(value, depth, (name) => {
    if (name === "src" || name === "obj") return place.folder;
    if (name === "srctree" || name === "objtree") return place.tree;
    return name.startsWith("CONFIG_") ? config(name.slice(7)) : raw.get(name);
  });
  /** Values under a name: those without a condition, and those whose symbol is set. */
  const list = (name: string, on: Config): string[] =>
    assignments.filter((one) => one.name === name && (one.symbol === undefined || on(one.symbol) !== "")).flatMap((one) => words(expand(one.value)));
  const flagList = (name: string, on: Config): string[] => joinFlags(list(name, on), place);
  return {
    entries: assignments.filter(({ name }) => ["obj", "obj-y", "obj-m", "lib-y"].includes(name))
      .flatMap(({ symbol, value }) => words(expand(value)).map((target) => ({ target, symbol }))),
    partsOf: (target, on) => {
      const stem = target.replace(/\.o$/, "");
      const names = [stem, `${stem}-y`, `${stem}-m`, `${stem}-objs`];
      // A name without "-y" or "-objs" counts only with a symbol: "foo-$(CONFIG_BAR)".
      const own = assignments.filter(({ name, symbol }) => names.includes(name) && (name !== stem || symbol !== undefined));
      if (own.length === 0) return undefined;
      const parts = own.filter(({ symbol }) => symbol === undefined || on(symbol) !== "").flatMap(({ value }) => words(expand(value)));
      return [...new Set(parts)].filter((part) => part.endsWith(".o"));
    },
    flags: (on) => [...flagList("ccflags", on), ...flagList("ccflags-y", on), ...flagList("ccflags-m", on), ...flagList("EXTRA_CFLAGS", on)],
    flagsOf: (object) => flagList(`CFLAGS_${object}`, config),
    flagsBelow: (on) => [...flagList("subdir-ccflags", on), ...flagList("subdir-ccflags-y", on), ...flagList("subdir-ccflags-m", on)],
  };
}

function assignmentsOf(text: string, config: Config): Assignment[] {
  const assignments: Assignment[] = [];
  /** For each open conditional: whether its present branch counts, and whether a branch was taken. */
  const open: { active: boolean; taken: boolean }[] = [];
  for (const line of text.replaceAll(/\\\r?\n/g, " ").split("\n")) {
    const code = line.replace(/(?<!\\)#.*$/, "").trim();
    if (conditional(code, config, open) || !open.every(({ active }) => active)) continue;
    const found = /^([\w.+-]+?)(?:-?\$[({](?:CONFIG_(\w+)|subst[^)}]*CONFIG_(\w+)[)}][^)}]*)[)}])?\s*(:?:?=|\+=|\?=)\s*(.*)$/.exec(code);
    if (found === null || line.startsWith("\t")) continue;
    const [, name = "", symbol, substituted, operator, value = ""] = found;
    assignments.push({ name, symbol: symbol ?? substituted, append: operator === "+=", value });
  }
  return assignments;
}

/** Whether the line is a conditional; then `open` is brought up to date. */
function conditional(code: string, config: Config, open: { active: boolean; taken: boolean }[]): boolean {
  if (/^endif\b/.test(code)) {
    open.pop();
    return true;
  }
  const last = open.at(-1);
  const branch = /^(else\s+)?(ifdef|ifndef|ifeq|ifneq)\b\s*(.*)$/.exec(code);
  if (branch === null) {
    if (!/^else\b/.test(code)) return false;
    if (last !== undefined) Object.assign(last, { active: !last.taken, taken: true });
    return true;
  }
  const [, isElse, keyword = "", rest = ""] = branch;
  const holds = decide(keyword, rest, config);
  if (isElse === undefined) open.push({ active: holds, taken: holds });
  else if (last !== undefined) Object.assign(last, { active: !last.taken && holds, taken: last.taken || holds });
  return true;
}

function decide(keyword: string, rest: string, config: Config): boolean {
  const value = (text: string): string => expandValue(text, 0, (name) => (name.startsWith("CONFIG_") ? config(name.slice(7)) : "")).trim();
  if (keyword === "ifdef" || keyword === "ifndef") return (rest.startsWith("CONFIG_") && config(rest.slice(7)) !== "") === (keyword === "ifdef");
  const [, left = "", right = ""] = /^\((.*),(.*)\)$/.exec(rest) ?? /^["'](.*)["']\s+["'](.*)["']$/.exec(rest) ?? [];
  return (value(left) === value(right)) === (keyword === "ifeq");
}

/** Fills in $(name) and the functions that lists of objects are made with; everything else becomes nothing. */
function expandValue(text: string, depth: number, lookUp: (name: string) => string | undefined): string {
  if (depth > expansionDepth) return "";
  let result = "";
  for (let at = 0; at < text.length; at++) {
    const next = text[at + 1];
    if (text[at] !== "$" || (next !== "(" && next !== "{")) {
      result += text[at];
      continue;
    }
    const end = closing(text, at + 1);
    result += expandOne(text.slice(at + 2, end), depth + 1, lookUp);
    at = end;
  }
  return result;
}

function expandOne(inner: string, depth: number, lookUp: (name: string) => string | undefined): string {
  const call = /^([a-z-]+)\s+(.*)$/s.exec(inner);
  if (call === null) {
    const substitution = /^([\w.-]+):%?([\w.]*)=%?([\w.]*)$/.exec(inner);
    const value = expandValue(lookUp(substitution?.[1] ?? inner) ?? "", depth, lookUp);
    if (substitution === null) return value;
    const [, , from = "", to = ""] = substitution;
    return words(value).map((word) => (word.endsWith(from) ? word.slice(0, word.length - from.length) + to : word)).join(" ");
  }
  const [first = "", second = "", third = ""] = call[2]!.split(",").map((part) => expandValue(part, depth, lookUp).trim());
  if (call[1] === "addprefix") return words(second).map((word) => first + word).join(" ");
  if (call[1] === "addsuffix") return words(second).map((word) => word + first).join(" ");
  if (call[1] === "sort" || call[1] === "strip") return first;
  if (call[1] === "patsubst") {
    const [from, to] = [first.replace("%", ""), second.replace("%", "")];
    return words(third).map((word) => (first.startsWith("%") && word.endsWith(from) ? word.slice(0, word.length - from.length) + to : word)).join(" ");
  }
  return "";
}

/** The index of the bracket that closes the one at `from`, or the end. */
function closing(text: string, from: number): number {
  const [opens, closes] = text[from] === "(" ? ["(", ")"] : ["{", "}"];
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text[at] === opens) depth++;
    else if (text[at] === closes && --depth === 0) return at;
  }
  return text.length;
}

/**
 * What a Makefile may say to the compiler: names and folders, and switches without a value. One of a value may name a program that is
 * loaded into the compiler.
 */
const allowedFlag = /^-(?:[DUI]|include|isystem|iquote|idirafter)|^-f[a-z][a-z0-9-]*$/;

/** Relative include folders are relative to the tree's root; "-I dir" becomes one word. */
function joinFlags(flags: readonly string[], { folder, tree }: { folder: string; tree: string }): string[] {
  const joined: string[] = [];
  for (let index = 0; index < flags.length; index++) {
    const flag = flags[index]!;
    const isInclude = flag === "-I" || flag === "-include";
    joined.push(isInclude && flags[index + 1] !== undefined ? flag + flags[++index]! : flag);
  }
  return joined.filter((flag) => allowedFlag.test(flag) && !flag.includes("$")).map((flag) => {
    const include = /^-I(.*)$/.exec(flag);
    // $(srctree)/$(src), and $(src) alone, which is the whole path here.
    if (include !== null) return `-I${absolute(include[1]!, folder, tree)}`;
    return flag.replaceAll('\\"', '"');
  });
}

function absolute(named: string, folder: string, tree: string): string {
  const twice = named.startsWith(`${tree}/${tree}`) ? named.slice(tree.length + 1) : named;
  if (twice.startsWith("/")) return twice;
  return twice.startsWith("./") || twice === "." ? `${folder}/${twice}` : `${tree}/${twice}`;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
