/** Which daemon a command talks to: the one named by --machine or --state, or the only one that runs. */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { AirlockError, isAirlockError } from "../../api/errors.ts";
import { name as nameSchema } from "../../machine/values.ts";
import { advice } from "../../machine/suggest.ts";
import { type CommandCall, textOption } from "../command.ts";
import { type StateDirectory, stateDirectory } from "../state-directory.ts";
import { ControlClient, type RequestOptions } from "./client.ts";
import type { Wish } from "./protocol.ts";

/** The options of every command that talks to a machine. */
export function declareMachineOptions(command: Command): void {
  command
    .option("--machine <name>", "the machine, by its name; not needed when exactly one is running")
    .option("--state <directory>", "the machine, by the state directory it was started with");
}

/** Asks the daemon the command line means for one thing. @throws AirlockError NotFound when none runs, and what it answers */
export async function askDaemon(options: CommandCall["options"], wish: Wish, request: RequestOptions = {}): Promise<unknown> {
  const client = await openDaemon(options);
  try {
    return await client.request(wish, request);
  } finally {
    client.close();
  }
}

async function openDaemon(options: CommandCall["options"]): Promise<ControlClient> {
  const chosen = chosenState(options);
  if (chosen !== undefined) return openChosen(options, chosen);
  const open = await openAll();
  if (open.length === 1) return open[0]!.client;
  for (const { client } of open) client.close();
  if (open.length === 0) throw new AirlockError("NotFound", "no machine is running; start one with `airlock run <machine.yaml>`, or name its directory with --state");
  throw new AirlockError("InvalidArgument", `${open.length} machines are running: ${open.map(({ name }) => name).join(", ")}; choose one with --machine`);
}

async function openChosen(options: CommandCall["options"], { socket }: StateDirectory): Promise<ControlClient> {
  try {
    return await ControlClient.connect(socket);
  } catch (error) {
    const machine = textOption(options, "machine");
    if (!isAirlockError(error, "NotFound") || machine === undefined) throw error;
    const open = await openAll();
    for (const { client } of open) client.close();
    const known = advice(machine, open.map(({ name }) => name), "running machine");
    throw new AirlockError("NotFound", `machine "${machine}" is not running; ${known}`, { machine }, { cause: error });
  }
}

/** The state directory the options name, or undefined. @throws AirlockError InvalidArgument */
function chosenState(options: CommandCall["options"]): StateDirectory | undefined {
  const machine = textOption(options, "machine");
  const state = textOption(options, "state");
  if (machine !== undefined && state !== undefined) throw new AirlockError("InvalidArgument", "give --machine or --state, not both");
  if (state !== undefined) return stateDirectory("machine", state);
  if (machine === undefined) return undefined;
  const parsed = nameSchema.safeParse(machine);
  if (!parsed.success) throw new AirlockError("InvalidArgument", `--machine "${machine}" ${parsed.error.issues[0]?.message ?? "is not a name"}`);
  return stateDirectory(parsed.data);
}

/** Directories of machines below the default root, running or not. */
function defaultStates(): { readonly name: string; readonly state: StateDirectory }[] {
  const root = path.dirname(stateDirectory("any").path);
  if (!existsSync(root)) return [];
  const names = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
  return names.map((name) => ({ name, state: stateDirectory(name) }));
}

async function openAll(): Promise<{ readonly name: string; readonly client: ControlClient }[]> {
  const tried = await Promise.all(defaultStates().filter(({ state }) => existsSync(state.socket)).map(async ({ name, state }) => {
    const client = await ControlClient.connect(state.socket).catch((error: unknown) => {
      if (isAirlockError(error)) return undefined;
      throw error;
    });
    return client && { name, client };
  }));
  return tried.filter((one) => one !== undefined);
}

/** The state directory a command that needs no daemon means: as above, or the only one there is. @throws NotFound, InvalidArgument */
export async function findState(options: CommandCall["options"]): Promise<StateDirectory> {
  const chosen = chosenState(options);
  if (chosen !== undefined) return chosen;
  const all = defaultStates();
  if (all.length === 1) return all[0]!.state;
  const open = await openAll();
  for (const { client } of open) client.close();
  if (open.length === 1) return stateDirectory(open[0]!.name);
  if (all.length === 0) throw new AirlockError("NotFound", "no machine has run yet with the default state directory; name one with --state");
  throw new AirlockError("InvalidArgument", `there are ${all.length} machines: ${all.map(({ name }) => name).join(", ")}; choose one with --machine`);
}
