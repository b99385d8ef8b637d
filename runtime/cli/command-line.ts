/** One command line from its words to its exit code: finds the command, parses with commander, reports what goes wrong. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { AirlockError, isAirlockError } from "../api/errors.ts";
import type { CommandDefinition } from "./command.ts";
import { type ExitCode, exitCodeOf, exitCodes, exitCodesText } from "./exit-codes.ts";
import { type TextSink, CommandOutput, jsonText, plainText } from "./output.ts";

const thisFile = fileURLToPath(import.meta.url);
/** Commands are TypeScript in the source tree and JavaScript in the built one. */
const extension = path.extname(thisFile);
const commandsFolder = path.join(path.dirname(thisFile), "commands");

/** Errors whose text is a list of "file:line:col: ..." lines, which editors and scripts read as they are. */
const located: ReadonlySet<string> = new Set(["MachineFileInvalid", "ManifestInvalid", "BundleInvalid"]);

/** Runs `airlock <words>`. Never throws: whatever goes wrong is reported and is the exit code. */
export async function runCommandLine(words: readonly string[], stdout: TextSink, stderr: TextSink): Promise<ExitCode> {
  const json = wantsJson(words);
  let exit: ExitCode = exitCodes.ok.code;
  try {
    const program = makeProgram(stdout, stderr, (code) => { exit = code; });
    for (const definition of await findCommands(words[0])) addCommand(program, definition);
    if (words.length === 0) {
      stderr.write(program.helpInformation());
      return exitCodes.usage.code;
    }
    await program.parseAsync([...words], { from: "user" });
    return exit;
  } catch (error) {
    // Help and version end the parsing like this.
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok.code;
    return report(error instanceof CommanderError ? usageError(error) : error, json, stdout, stderr);
  }
}

/**
 * The commands there are, by reading the directory. When `first` is one of them, only that one: it starts in a
 * fraction of the time.
 */
export async function findCommands(first?: string): Promise<readonly CommandDefinition[]> {
  const isOne = first !== undefined && /^[a-z]+$/.test(first) && existsSync(path.join(commandsFolder, first + extension));
  return Promise.all((isOne ? [first] : commandNames()).map(loadCommand));
}

/** The names of the commands, sorted: the files of runtime/cli/commands. */
export function commandNames(): string[] {
  const files = readdirSync(commandsFolder).filter((file) => file.endsWith(extension) && !/\.(?:test|d)\.[jt]s$/.test(file));
  return files.map((file) => path.basename(file, extension)).sort();
}

async function loadCommand(name: string): Promise<CommandDefinition> {
  const module = (await import(new URL(`commands/${name}${extension}`, import.meta.url).href)) as { default?: Partial<CommandDefinition> };
  const found = module.default;
  if (found?.name === name && typeof found.declare === "function" && typeof found.run === "function") return found as CommandDefinition;
  throw new AirlockError("Unsupported", `runtime/cli/commands/${name}${extension} has no default export that is a command called "${name}"`, { command: name });
}

type Finish = (code: ExitCode) => void;
const finishes = new WeakMap<Command, { finish: Finish; stdout: TextSink; stderr: TextSink }>();

function makeProgram(stdout: TextSink, stderr: TextSink, finish: Finish): Command {
  const program = new Command("airlock")
    .description("Runs device drivers that nobody has to trust: sandboxed, watched and restarted.")
    .version(ownVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .showSuggestionAfterError(true)
    .exitOverride()
    // Errors are reported once, by `report`.
    .configureOutput({ writeOut: (text) => { stdout.write(text); }, writeErr: () => undefined, outputError: () => undefined })
    .addHelpText("after", `\nEvery command takes --json.\n\nExample:\n  $ airlock run runtime/machine/examples/lab.yaml\n\n${exitCodesText()}`);
  finishes.set(program, { finish, stdout, stderr });
  return program;
}

function addCommand(program: Command, definition: CommandDefinition): void {
  const { finish, stdout, stderr } = finishes.get(program)!;
  const command = program.command(definition.name).description(definition.summary);
  definition.declare(command);
  command
    .option("--json", "print the result, also an error, as JSON on stdout")
    .addHelpText("after", `\nExample${definition.examples.length > 1 ? "s" : ""}:\n${definition.examples.map((line) => `  $ ${line}`).join("\n")}`)
    .action(async () => {
      const options = command.opts<Record<string, unknown>>();
      const json = options["json"] === true;
      const output = new CommandOutput(json, stdout, stderr);
      const args = command.registeredArguments.map((_, index) => command.processedArgs[index] as string | undefined);
      finish((await definition.run({ args, options, json, output })) ?? exitCodes.ok.code);
    });
}

/** Before anything is parsed, and also when it cannot be. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end < 0 ? words.length : end).includes("--json");
}

function usageError(error: CommanderError): AirlockError {
  const text = error.message.replace(/^error: /, "").replaceAll("\n", " ").trim();
  return new AirlockError("InvalidArgument", `${text}; see airlock --help`, { usage: error.code });
}

/** One clear line (or one line per problem of a file) on stderr; `{"error"}` on stdout with --json. Gives the exit code. */
function report(error: unknown, json: boolean, stdout: TextSink, stderr: TextSink): ExitCode {
  const known = isAirlockError(error);
  const message = known ? error.message : `internal error: ${error instanceof Error ? error.message : String(error)}; set AIRLOCK_DEBUG=1 for details`;
  if (json) {
    stdout.write(`${jsonText({ error: { code: known ? error.code : "Internal", message, fields: known ? error.fields : {} } })}\n`);
  } else {
    const prefix = known && located.has(error.code) ? "" : "airlock: ";
    for (const line of message.split("\n")) stderr.write(`${prefix}${plainText(line)}\n`);
  }
  if (process.env["AIRLOCK_DEBUG"] === "1" && error instanceof Error) stderr.write(`${plainText(error.stack ?? "", true)}\n`);
  return exitCodeOf(error);
}

/** The version in package.json, beside the folder `runtime` or `dist`. */
function ownVersion(): string {
  for (const up of ["../../package.json", "../../../package.json"]) {
    const file = new URL(up, import.meta.url);
    if (!existsSync(file)) continue;
    const version = (JSON.parse(readFileSync(file, "utf8")) as { version?: unknown }).version;
    if (typeof version === "string") return version;
  }
  return "unknown";
}
