/** Rules about the text of single files: each takes one file and says what is wrong with it, one line per place. */
import { codeOnly } from "./code-text.ts";
import { isTestCode, lineAt, type SourceFile } from "./source-tree.ts";

export interface TextRule {
  readonly name: string;
  readonly appliesTo: (path: string) => boolean;
  /** What is wrong, with its place; empty when nothing is. */
  readonly check: (file: SourceFile) => string[];
}

const isTypeScript = (path: string): boolean => path.endsWith(".ts");
const isCode = (path: string): boolean => /\.(?:[cm]?[jt]s|cc?|h)$/.test(path);
const everywhere = (): boolean => true;
/** npm writes the one, and words in it are names of packages; the others are the licences' own words. */
const isOurText = (path: string): boolean => !["package-lock.json", "LICENSE", "shims/LICENSE"].includes(path);
/** A unit test is about the file beside it, which says what it is for. */
const isUnitTest = (path: string): boolean => /^(?:runtime|drivers|shims\/tools)\/.*\.test\.ts$/.test(path);
const isRuntime = (path: string): boolean => /^(?:runtime|drivers|shims\/tools)\/.*\.ts$/.test(path);
/** Its text is made from the contracts, and a test says so. */
const isMade = (path: string): boolean => path === "shims/abi/contracts.h";
/** The environment and its build: code that is linked with Linux's, and code that knows both sides. */
const isEnvironment = (path: string): boolean => /^shims\/(?:arch|emul|selftest)\/.*\.[chS]$/.test(path);
const isBetween = (path: string): boolean => /^shims\/(?:abi|tools)\/.*\.(?:h|ts)$/.test(path) && !path.endsWith(".test.ts");

/** Longer files hold more than one idea. */
const maxLines = 500;

/** Patterns are written so that they don't match themselves: a letter of each is in brackets. */
export const textRules: readonly TextRule[] = [
  rule("begins with a purpose comment", (path) => isTypeScript(path) && !isUnitTest(path), ({ path, text }) =>
    /^(?:#!.*\n)?\/\*\*\s*(?:\* )?\S.{15,}/.test(text) ? [] : [`${path}:1: the first line is a comment that says in a sentence what the file is for`]),
  rule("is short", (path) => isCode(path) && !isMade(path), ({ path, text }) => {
    const lines = text.trimEnd().split("\n").length;
    return lines > maxLines ? [`${path}: ${lines} lines, the limit is ${maxLines}`] : [];
  }),
  forbid("leaves nothing for later", isOurText, /\b(?:T[O]DO|FIX[M]E|X[X]X)\b|[Nn]ot (?:yet )?implemente[d]\b/g),
  forbid("has no machine's paths", everywhere, /(?<![\w.$~}*-])\/(?:wor[k]|roo[t]|hom[e]|User[s])\/[\w.-]+/g),
  forbid("names no package registry", everywhere, /\bregistr[y]\.[\w-]+\.\w+|npmj[s]\.(?:org|com)|"resolve[d]":|:\/\/(?:localhost|[\d.]+)(?::\d+)?\/(?:np[m]|repositor[y])/g),
  forbid("is silent about how it was written", isOurText,
    /\bA[I]\b|\bL[L]Ms?\b|\blanguage mode[l]|\bchatbo[t]|\bGP[T]\b|\bcopilo[t]\b|\bClaud[e]\b|\bAnthropi[c]\b|\b(?:sub-?)?agen[t]s?\b|\bAI[-]|\bgenerated b[y]\b|\bmy brie[f]\b|\bthe brie[f]\b/gi),
  // Documentation says where it is.
  forbid("is free of the GPL", (path) => !path.startsWith("shims/") && !path.endsWith(".md"), /GNU (?:Lesser |Affero )?Genera[l] Public|SPDX-License-Identifier:(?! Apache-2\.0 OR ).*GP[L]|(?<!Apache-2\.0 OR )\bGP[L]-[23]/g),
  rule("says its licence, in shims/", (path) => isEnvironment(path) || isBetween(path), ({ path, text }) => {
    const own = ["GP", "L-2.0-only"].join("");
    const licence = isEnvironment(path) ? own : `Apache-2.0 OR ${own}`;
    const line = new RegExp(String.raw`^(?:/\* |// )SPDX-License-Identifier: ${licence}(?: \*/)?$`, "m");
    return line.test(text.split("\n").slice(0, 2).join("\n")) ? [] : [`${path}:1: one of the first two lines is SPDX-License-Identifier: ${licence}`];
  }),
  forbid("names no driver, in shims/", (path) => /^shims\/(?:arch|emul|abi|tools)\/.*\.(?:[chS]|ts|txt)$/.test(path) && !path.endsWith(".test.ts"), linuxDrivers()),
  code("has no holes in its types", isTypeScript, /\bas\s+any\b|[:<|]\s*any\b(?!\s*[(:.])|,\s*any\s*>|\bany\[\]/g),
  forbid("silences no compiler", isTypeScript, /@ts-(?:ignor[e]|expect-erro[r]|nochec[k])|(?:eslin[t]|oxlin[t])-disable(?!(?:-next-line)? [\w/@-]+(?:, [\w/@-]+)* -- \S)/g),
  code("catches nothing silently", (path) => /\.[cm]?[jt]s$/.test(path), /\bcatch\s*(?:\([^)]*\)\s*)?\{\s*\}|\.catch\(\s*(?:\([^)]*\)|\w+)\s*=>\s*\{\s*\}\s*\)/g),
  code("skips no test without a reason", isTypeScript, /\b(?:test|it|describe|suite|bench)(?:\.\w+)*\.(?:skip|only|todo|fails)\b/g),
  rule("skips under a condition that prints its reason", isTypeScript, (file) =>
    // Functions of this name print why not, and throw where everything has to be there.
    /\bawait \w+Available\(\)/.test(codeOnly(file.text)) ? [] : matches(file, codeOnly(file.text), /\.(?:skipIf\(|runIf\([^)]*(?:[Aa]vailable|[Mm]issing|[Qq]emu|[Ii]nstalled))/g)),
  code("reads no clock and rolls no dice by itself", (path) => isRuntime(path) && !isTestCode(path) && !readsTime(path), /\bMath\.random\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bprocess\.hrtime\b/g),
  code("ends names of quantities with their unit", isRuntime, unitless()),
];

/** Who reads real time, and why. Everything else is given a clock. */
const realTime: Readonly<Record<string, string>> = {
  "runtime/api/clock.ts": "makes the clock that everything else is given",
  "runtime/trace/turn-clock.ts": "stamps entries in threads that have no event loop to be given a clock from",
  "runtime/platform/qemu/wait-for-qtest.ts": "waits for a real process",
  "runtime/platform/qemu/connector.ts": "waits for a real process",
  "runtime/platform/sim/start.ts": "sets the machine's clock chip to the present, once",
  "runtime/platform/qemu/start.ts": "sets the machine's clock chip to the present, once",
  "shims/tools/cache.ts": "marks what a build uses again, by the files' own times",
  "runtime/sandbox/quickjs/tier.ts": "the CPU limit of a turn; deterministic worlds count interrupts instead",
};

function readsTime(path: string): boolean {
  // The command line talks to people.
  return path in realTime || path.startsWith("runtime/cli/");
}

/** A number whose name says time or size and not in what. `size` and `length` alone count things. */
function unitless(): RegExp {
  return /\b(?:\w+(?:Timeout|Delay|Interval|Duration|Elapsed|Latency|Age)|timeout|delay|interval|duration|elapsed|latency)\??\s*(?::\s*number\b|=\s*-?\d)|\b\w+Size\??\s*:\s*number\b/g;
}

/** Linux drivers that are known to work, among others: the environment is for every driver, so it knows none. */
function linuxDrivers(): RegExp {
  return /\b(?:e100(?:0e?)?|8139(?:too|cp)|ne2k[-_]?pci|i6300es[b]|rtc[-_]cmo[s]|pcnet32|virtio[-_]rng|r8169|ixgbe|igb)\b/gi;
}

function rule(name: string, appliesTo: TextRule["appliesTo"], check: TextRule["check"]): TextRule {
  return { name, appliesTo, check };
}

/** Nowhere in the file, comments and texts included. */
function forbid(name: string, appliesTo: TextRule["appliesTo"], pattern: RegExp): TextRule {
  return rule(name, appliesTo, (file) => matches(file, file.text, pattern));
}

/** Nowhere in the file's code; comments and texts may have it. */
function code(name: string, appliesTo: TextRule["appliesTo"], pattern: RegExp): TextRule {
  return rule(name, appliesTo, (file) => matches(file, codeOnly(file.text), pattern));
}

function matches({ path, text }: SourceFile, searched: string, pattern: RegExp): string[] {
  return [...searched.matchAll(pattern)].map(({ index, 0: found }) => `${path}:${lineAt(text, index)}: ${found.trim().replaceAll(/\s+/g, " ")}`);
}
