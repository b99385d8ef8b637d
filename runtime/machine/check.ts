/** Checks a parsed file against a schema: every issue becomes a problem with a position and what would be right. */
import { z } from "zod";
import { type Path, type Problems, type Source } from "./source.ts";
import { advice } from "./suggest.ts";

type Issue = z.core.$ZodIssue;
type JsonSchema = z.core.JSONSchema.JSONSchema;

/** Unknown keys of one map that are reported one by one: a hostile map has 100 000 of them. */
const keysReported = 32;

/** The checked value at `path` of the source; undefined when it has problems, which are then in `problems`. */
export function check<S extends z.ZodType>(source: Source, schema: S, problems: Problems, path: Path = []): z.output<S> | undefined {
  return checkValue(source, schema, source.at(path), problems, path);
}

/** Like `check`, for a value derived from what is at `path`. */
export function checkValue<S extends z.ZodType>(
  source: Source, schema: S, value: unknown, problems: Problems, path: Path,
): z.output<S> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const shape = jsonSchema(schema);
  for (const issue of result.error.issues) report(source, shape, issue, problems, path);
  return undefined;
}

/** A schema as plain data, of what a file may hold. */
export function jsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

function report(source: Source, shape: JsonSchema, issue: Issue, problems: Problems, prefix: Path): void {
  const inner = issue.path.filter((segment) => typeof segment !== "symbol");
  const path = [...prefix, ...inner];
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(shape, inner, source.at(prefix));
    const rest = issue.keys.length - keysReported;
    if (rest > 0) problems.add(
      source.file,
      source.locate([...path, issue.keys[keysReported]!], "key"),
      `and ${rest} more unknown keys${within(path)}; remove them`,
    );
    for (const key of issue.keys.slice(0, keysReported)) {
      problems.add(
        source.file,
        source.locate([...path, key], "key"),
        `unknown key "${key}"${within(path)}; ${advice(key, known, "key here")}`,
      );
    }
    return;
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const nested = closest(issue.errors);
    for (const one of nested) report(source, shape, { ...one, path: [...issue.path, ...one.path] }, problems, prefix);
    return;
  }
  const value = source.at(path);
  const absent = value === undefined;
  const parent = path.slice(0, -1);
  if (absent && path.length > 0 && isRecord(source.at(parent))) {
    const wanted = describe(shape, inner, source.at(prefix));
    problems.add(source.file, source.locate(parent), `key "${String(path.at(-1))}" is missing${within(parent)}; add it${wanted}`);
    return;
  }
  if (issue.code === "invalid_key") {
    const help = issue.issues[0]?.message ?? "is not a name; write one";
    problems.add(source.file, source.locate(path, "key"), `key "${String(path.at(-1))}"${within(parent)} ${help}`);
    return;
  }
  problems.add(source.file, source.locate(path), `${shownPath(path)} ${explain(issue, value)}`);
}

/** What is wrong with a value, and what would be right. */
function explain(issue: Issue, value: unknown): string {
  if (issue.code === "invalid_value" && issue.message.startsWith("Invalid")) return `is ${shown(value)}; ${choose(value, issue.values)}`;
  if (issue.code === "invalid_union" && "options" in issue)
    return `is ${shown(value)}; ${choose(value, issue.options as readonly unknown[])}`;
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) {
    const kind = expected[issue.expected] ?? `a ${issue.expected}`;
    return `is ${value === null ? "empty" : shown(value)}; write ${kind}`;
  }
  if (issue.code === "too_big" && issue.message.startsWith("Too big")) return `is too large; at most ${issue.maximum}`;
  if (issue.code === "too_small" && issue.message.startsWith("Too small")) return `is too small; at least ${issue.minimum}`;
  return issue.message.includes(";") ? `(${shown(value)}) ${issue.message}` : `(${shown(value)}) is wrong: ${issue.message}; correct it`;
}

const expected: Readonly<Record<string, string>> = {
  array: "a list such as [first, second], or [] for none",
  boolean: "true or false",
  int: "a whole number",
  number: "a number",
  object: "a map of keys and values, or {} for none",
  record: "a map of names and values, or {} for none",
  string: "a string",
};

function choose(value: unknown, choices: readonly unknown[]): string {
  if (typeof value === "string" && choices.length > 1) {
    const near = advice(value, choices.map(String), "value");
    if (near.startsWith("did")) return near;
  }
  return `write ${choices.map(String).join(", ").replace(/, ([^,]*)$/, " or $1")}`;
}

/** Of a union's alternatives the one the value came closest to: the one that complains deepest, then least. */
function closest(alternatives: readonly (readonly Issue[])[]): readonly Issue[] {
  const depth = (issues: readonly Issue[]) => Math.max(...issues.map((issue) => issue.path.length));
  return alternatives.toSorted((left, right) => depth(right) - depth(left) || left.length - right.length)[0]!;
}

/** The keys a map at this path may have. */
function keysAt(schema: JsonSchema, path: Path, value: unknown): string[] {
  return [...new Set(schemasAt(schema, path, value).flatMap((one) => Object.keys(one.properties ?? {})))];
}

/** The description of a key at this path, in brackets. */
function describe(schema: JsonSchema, path: Path, value: unknown): string {
  const description = schemasAt(schema, path, value).find((one) => one.description !== undefined)?.description;
  return description === undefined ? "" : ` (${description.charAt(0).toLowerCase()}${description.slice(1)})`;
}

/** Every schema that applies at this path of `value`. */
function schemasAt(schema: JsonSchema, path: Path, value: unknown): JsonSchema[] {
  let here: JsonSchema[] = alternatives(schema, value);
  let inner = value;
  for (const segment of path) {
    inner = own(inner, segment);
    here = here.flatMap((one) => {
      const property = own(one.properties, segment);
      const next = typeof segment === "number" ? one.items : (property ?? one.additionalProperties);
      return isRecord(next) ? alternatives(next, inner) : [];
    });
  }
  return here;
}

function own(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Record<string | number, unknown>)[key] : undefined;
}

/** A schema and the alternatives in it that the value has chosen by its constant keys. */
function alternatives(schema: JsonSchema, value: unknown): JsonSchema[] {
  const nested = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])] as JsonSchema[];
  return [schema, ...nested.filter((one) => isRecord(one) && chosen(one, value)).flatMap((one) => alternatives(one, value))];
}

function chosen(schema: JsonSchema, value: unknown): boolean {
  if (!isRecord(value)) return true;
  return Object.entries(schema.properties ?? {}).every(([key, property]) => {
    const wanted = isRecord(property) ? property["const"] : undefined;
    return wanted === undefined || !Object.hasOwn(value, key) || value[key] === wanted;
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function within(path: Path): string {
  return path.length === 0 ? "" : ` in ${shownPath(path)}`;
}

/** A path as a reader of the file would say it. */
export function shownPath(path: Path): string {
  if (path.length === 0) return "the file";
  return path.map((segment, index) => (typeof segment === "number" ? `[${segment}]` : `${index > 0 ? "." : ""}${segment}`)).join("");
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  const written = JSON.stringify(value);
  return written.length > 60 ? `${written.slice(0, 57)}...` : written;
}
