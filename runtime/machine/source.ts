/** A YAML or JSON file with positions: parsed under limits, so that whatever is wrong has its line and column. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { AirlockError, type ErrorCode, errorText } from "../api/errors.ts";

export type Path = readonly (string | number)[];

/** Where in a file; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong in a file. */
export interface Problem extends Position {
  readonly file: string;
  /** What is wrong, and after a semicolon what to do. */
  readonly text: string;
}

/** What a source is: decides the grammar and names it in messages. */
export type SourceFormat = "yaml" | "json";

/** Aliases in one file: YAML's own kind of repetition; a bomb needs some of them nested. */
const aliasLimit = 64;
/** Nesting of maps and lists: the deepest path of a machine file has 6 levels. */
const depthLimit = 32;
/** Values in one file: 500 drivers need about 20 000. */
const nodeLimit = 250_000;
/** Problems reported of one file; the rest is counted. */
const problemLimit = 100;

/** Collects what is wrong over several files and ends as one error. */
export class Problems {
  readonly list: Problem[] = [];

  add(file: string, at: Position, text: string): void {
    this.list.push({ file, line: at.line, column: at.column, text: oneLine(text) });
  }

  /** @throws AirlockError `code` when there is any problem; its message has one "file:line:col: what; what to do" per line */
  throwIfAny(code: ErrorCode, file: string): void {
    if (this.list.length === 0) return;
    const shown = this.list.slice(0, problemLimit).map((problem) => `${problem.file}:${problem.line}:${problem.column}: ${problem.text}`);
    if (this.list.length > problemLimit) {
      const last = this.list[problemLimit]!;
      shown.push(`${last.file}:${last.line}:${last.column}: and ${this.list.length - problemLimit} more problems; mend the first ones`);
    }
    const first = this.list[0]!;
    throw new AirlockError(code, shown.join("\n"), { file, line: first.line, column: first.column, problems: this.list.length });
  }
}

/** A parsed file. `value` is plain data made of the file's own keys; what it means is for a schema to check. */
export class Source {
  readonly file: string;
  readonly value: unknown;
  readonly #document: Document;
  readonly #lines: LineCounter;
  /** Each map's pairs by key: a hostile map has 100 000 of them, each with something wrong. */
  readonly #pairs = new WeakMap<object, Map<string, Pair<Node, Node | null>>>();

  constructor(file: string, value: unknown, document: Document, lines: LineCounter) {
    this.file = file;
    this.value = value;
    this.#document = document;
    this.#lines = lines;
  }

  /** Where the value at this path is; the nearest one above it when it is absent. `key`: where its key is. */
  locate(path: Path, what: "key" | "value" = "value"): Position {
    let node: Node | null | undefined = this.#document.contents;
    let offset = node?.range?.[0] ?? 0;
    for (const [index, segment] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      const next = this.#step(node, segment);
      if (next === undefined) break;
      const wanted = what === "key" && index === path.length - 1 ? next.key : next.value;
      offset = (wanted ?? next.key)?.range?.[0] ?? offset;
      node = next.value;
    }
    return position(this.#lines, offset);
  }

  #step(node: unknown, segment: string | number): { key?: Node; value: Node | null } | undefined {
    if (isMap(node)) {
      let pairs = this.#pairs.get(node);
      if (pairs === undefined) {
        pairs = new Map((node.items as Pair<Node, Node | null>[]).map((pair) => [isScalar(pair.key) ? String(pair.key.value) : "", pair]));
        this.#pairs.set(node, pairs);
      }
      return pairs.get(String(segment));
    }
    const item = isSeq(node) && typeof segment === "number" ? (node.items[segment] as Node | undefined) : undefined;
    return item && { value: item };
  }

  /** The value at this path, own keys only. */
  at(path: Path): unknown {
    let value = this.value;
    for (const segment of path) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
      value = (value as Record<string | number, unknown>)[segment];
    }
    return value;
  }
}

/**
 * Reads a text file of at most `mostBytes`.
 * @throws AirlockError NotFound when it is missing or unreadable, `code` when it is too large or no regular file
 */
export function readText(file: string, mostBytes: number, code: ErrorCode, kind: string): string {
  let handle: number | undefined;
  try {
    // Without O_NONBLOCK a pipe of that name would block the whole process.
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(handle);
    if (!stat.isFile()) throw new AirlockError(code, `${file}:1:1: is no regular file; name a ${kind}`, { file, line: 1, column: 1 });
    if (stat.size > mostBytes) {
      throw new AirlockError(
        code,
        `${file}:1:1: is ${stat.size} bytes long; a ${kind} has at most ${mostBytes}`,
        { file, line: 1, column: 1 },
      );
    }
    return readFileSync(handle, "utf8");
  } catch (error) {
    if (error instanceof AirlockError) throw error;
    const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "does not exist" : `cannot be read (${errorText(error)})`;
    throw new AirlockError("NotFound", `${file}: ${kind} ${reason}; check the path`, { file }, { cause: error });
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

/** Parses `text`; undefined when it has problems, which are then in `problems`. */
export function parseSource(file: string, text: string, format: SourceFormat, problems: Problems): Source | undefined {
  const lines = new LineCounter();
  const before = problems.list.length;
  const fail = (offset: number, what: string) => problems.add(file, position(lines, offset), what);
  try {
    // Keys are compared by `inspect`, with a set: the parser's own comparison takes quadratic time.
    const document = parseDocument(text, { version: "1.2", lineCounter: lines, prettyErrors: false, uniqueKeys: false });
    for (const error of [...document.errors, ...document.warnings]) fail(
      error.pos[0],
      `${parserText(error.message)}; correct the ${format.toUpperCase()}`,
    );
    if (problems.list.length === before && format === "json") checkJson(text, fail);
    if (problems.list.length === before) inspect(document, (offset, what) => fail(offset, what));
    if (problems.list.length > before) return undefined;
    return new Source(file, document.toJS({ maxAliasCount: aliasLimit }) as unknown, document, lines);
  } catch (error) {
    // Nesting deeper than the parser's stack and too much expansion end here.
    fail(0, `cannot be parsed (${errorText(error)}); nest less and repeat less`);
    return undefined;
  }
}

/** Keys that are words and each once; bounded depth, size and aliases. */
function inspect(document: Document, fail: (offset: number, what: string) => void): void {
  let nodes = 0;
  let aliases = 0;
  const visit = (node: unknown, depth: number): void => {
    const offset = (node as Node | null)?.range?.[0] ?? 0;
    if (++nodes > nodeLimit || depth > depthLimit || (isAlias(node) && ++aliases > aliasLimit)) {
      throw new RangeError(`more than ${nodeLimit} values, ${depthLimit} levels or ${aliasLimit} aliases, at ${offset} bytes`);
    }
    if (isSeq(node)) for (const item of node.items) visit(item, depth + 1);
    if (!isMap(node)) return;
    const seen = new Set<string>();
    for (const { key, value } of node.items as Pair<Node, Node | null>[]) {
      const start = key?.range?.[0] ?? offset;
      if (!isScalar(key) || typeof key.value !== "string") fail(start, "key is not a word; write a name");
      else if (seen.has(key.value)) fail(start, `key "${key.value}" appears twice; keep one`);
      else if (key.value === "__proto__") fail(start, 'key "__proto__" is no name; choose another');
      else seen.add(key.value);
      visit(value, depth + 1);
    }
  };
  visit(document.contents, 0);
}

/** JSON is YAML but not the other way round: comments and bare words are refused where JSON readers would. */
function checkJson(text: string, fail: (offset: number, what: string) => void): void {
  try {
    JSON.parse(text.replace(/^\u{feff}/u, ""));
  } catch (error) {
    const offset = /position (\d+)/.exec(errorText(error))?.[1];
    fail(offset === undefined ? text.trimEnd().length : Number(offset), `is not JSON (${errorText(error)}); correct it`);
  }
}

function position(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function parserText(message: string): string {
  return message.replace(/[.;:\s]+$/, "");
}

/** Hostile files end up in messages: one line each, nothing that controls a terminal or turns text around. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u{202a}-\u{202e}\u{2066}-\u{2069}]+/gu, " ");
}
