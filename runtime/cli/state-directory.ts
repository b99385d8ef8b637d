/** The machine's state directory: chosen by XDG rules or --state, private to its user, made before anything starts. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { AirlockError, errorText } from "../api/errors.ts";

export interface StateDirectory {
  readonly path: string;
  /** Crash dumps. */
  readonly dumps: string;
  /** The control socket, in a directory of its own. */
  readonly socket: string;
}

/** Where a machine's state is, without making it: $XDG_STATE_HOME/airlock/<machine>, by default below ~/.local/state. */
export function stateDirectory(machine: string, chosen?: string): StateDirectory {
  const configured = process.env.XDG_STATE_HOME;
  // The XDG specification: a relative path in the variable is to be ignored.
  const home = configured !== undefined && path.isAbsolute(configured) ? configured : path.join(os.homedir(), ".local", "state");
  const root = path.resolve(chosen ?? path.join(home, "airlock", machine));
  return { path: root, dumps: path.join(root, "dumps"), socket: path.join(root, "control", "socket") };
}

/** Makes the directory and proves that it can be written. @throws AirlockError StateUnusable */
export function makeStateDirectory(state: StateDirectory): void {
  const probe = path.join(state.path, `.probe-${process.pid}`);
  try {
    for (const directory of [state.path, state.dumps, path.dirname(state.socket)]) makeDirectories(directory);
    writeFileSync(probe, "airlock\n");
  } catch (cause) {
    throw new AirlockError("StateUnusable", `cannot write the state directory ${state.path}: ${errorText(cause)}; free space there or choose another with --state`, { directory: state.path }, { cause });
  } finally {
    // On a full disk the file may be there, and empty.
    if (existsSync(probe)) rmSync(probe);
  }
}

/** Makes a directory and those above it, one by one: Node's own recursion never ends where nothing can be made (/proc). */
function makeDirectories(directory: string): void {
  const missing: string[] = [];
  for (let at = directory; !existsSync(at); at = path.dirname(at)) missing.unshift(at);
  for (const one of missing) makeDirectory(one);
  if (!statSync(directory).isDirectory()) throw new Error(`${directory} is no directory`);
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it just now.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Generations each driver has used, so that none is ever used again. An unreadable file starts anew from its time. */
export class GenerationStore {
  readonly #file: string;
  readonly #last: Record<string, string>;

  constructor(state: StateDirectory) {
    this.#file = path.join(state.path, "generations.json");
    this.#last = readGenerations(this.#file);
  }

  last(driver: string): bigint {
    return BigInt(this.#last[driver] ?? 0);
  }

  /** Reserves generations up to `generation`; written at once, whole or not at all. */
  save(generations: Readonly<Record<string, bigint>>): void {
    for (const [driver, generation] of Object.entries(generations)) this.#last[driver] = String(generation);
    const temporary = `${this.#file}.${process.pid}`;
    try {
      writeFileSync(temporary, `${JSON.stringify(this.#last, null, 2)}\n`, { mode: 0o600 });
      renameSync(temporary, this.#file);
    } catch (cause) {
      rmSync(temporary, { force: true });
      throw new AirlockError("StateUnusable", `cannot write ${this.#file}: ${errorText(cause)}; free space there or choose another directory with --state`, { file: this.#file }, { cause });
    }
  }
}

function readGenerations(file: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new AirlockError("StateUnusable", `cannot read ${file}: ${errorText(error)}`, { file }, { cause: error });
  }
  try {
    const parsed: unknown = JSON.parse(text);
    const entries = Object.entries(parsed as object).filter((entry): entry is [string, string] => typeof entry[1] === "string" && /^\d{1,19}$/.test(entry[1]));
    return Object.fromEntries(entries);
  } catch (cause) {
    throw new AirlockError("StateUnusable", `${file} is not readable as JSON; remove it to start counting generations anew`, { file }, { cause });
  }
}
