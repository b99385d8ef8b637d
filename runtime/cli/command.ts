/** What a command is: a file in runtime/cli/commands whose default export is one. Adding a command is adding its file. */
import type { Command } from "commander";
import type { ExitCode } from "./exit-codes.ts";

/** The default export of `commands/<name>.ts`. */
export interface CommandDefinition {
  /** What the user types; the file has the same name. */
  readonly name: string;
  /** One line for `airlock --help`. */
  readonly summary: string;
  /** Command lines that work as they stand, for `airlock <name> --help`; at least one. */
  readonly examples: readonly string[];
  /** Declares arguments and options on its commander command; `--json` and the examples are there already. */
  declare(command: Command): void;
  /**
   * Does the work. What it throws is shown as one line (or as `{"error"}` with --json) and decides the exit code.
   * @returns the exit code; nothing means ok
   */
  run(call: CommandCall): Promise<ExitCode | void>;
}

/** One invocation. */
export interface CommandCall {
  /** Positional arguments in order; an optional one that was left out is undefined. */
  readonly args: readonly (string | undefined)[];
  /** Options by commander's camel-case names. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly json: boolean;
  readonly output: Output;
}

/** An option's text; undefined when it was not given. */
export function textOption(options: CommandCall["options"], name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** Where results go. Errors are thrown, not written. */
export interface Output {
  /** The command's result: `value` as one line of JSON with --json, else `text()`. Generations (bigint) become decimal text. */
  result(value: unknown, text: () => string): void;
  /** Text for people; nothing with --json. */
  print(text: string): void;
  /** One line of the result in either form, for results that come bit by bit. */
  line(text: string): void;
  /** A remark on stderr for people (progress, warnings); nothing with --json. */
  remark(text: string): void;
}
