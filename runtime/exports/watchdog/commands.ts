/** The watchdog export's lines: what a client may write, and what it is answered. */
import { AirlockError, errorText, isAirlockError } from "../../api/errors.ts";
import type { WatchdogClient, WatchdogSettings } from "../../classes/watchdog/client.ts";

/** What a line asks for. */
export type Command =
  | { readonly do: "start"; readonly settings: WatchdogSettings }
  | { readonly do: "ping" | "stop" | "status" };

const known = "there are: start <seconds> [pretimeout <seconds>] [nowayout], ping, stop, status";
/** Seconds with up to three decimals; the class says which times there can be. */
const secondsForm = /^\d{1,7}(?:\.\d{1,3})?$/;

/** @throws AirlockError InvalidArgument for a line that is no command */
export function parseCommand(line: string): Command {
  const [word, ...rest] = line.trim().split(/\s+/);
  if (word === "start") return { do: "start", settings: parseStart(rest) };
  if (word !== "ping" && word !== "stop" && word !== "status") throw invalid(`there is no command "${shown(word ?? "")}"; ${known}`);
  if (rest.length > 0) throw invalid(`${word} takes nothing; ${known}`);
  return { do: word };
}

/** Does what the line asks for; the answer is a line without its end. Never rejects. */
export async function answer(line: string, client: WatchdogClient): Promise<string> {
  try {
    return `ok${await perform(parseCommand(line), client)}`;
  } catch (error) {
    return `error ${isAirlockError(error) ? error.code : "Internal"} ${shown(errorText(error))}`;
  }
}

async function perform(command: Command, client: WatchdogClient): Promise<string> {
  switch (command.do) {
    case "start": return ` timeout=${seconds(await client.start(command.settings))}`;
    case "ping": {
      await client.ping();
      return "";
    }
    case "stop": {
      await client.stop();
      return "";
    }
    case "status": {
      const { minTimeoutMs, maxTimeoutMs, canStop, hasPretimeout, causedReset } = await client.identify();
      const left = seconds(await client.timeLeft());
      const can = `stop=${yes(canStop)} pretimeout=${yes(hasPretimeout)}`;
      return ` left=${left} least=${seconds(minTimeoutMs)} most=${seconds(maxTimeoutMs)} ${can} caused-reset=${yes(causedReset)}`;
    }
  }
}

function parseStart(words: readonly string[]): WatchdogSettings {
  const [timeout, ...rest] = words;
  let pretimeoutMs: number | undefined;
  let noWayOut = false;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at]!;
    if (word === "nowayout" && !noWayOut) noWayOut = true;
    else if (word === "pretimeout" && pretimeoutMs === undefined) pretimeoutMs = parseMs(rest[++at]);
    else throw invalid(`start does not take "${shown(word)}" there; ${known}`);
  }
  return { timeoutMs: parseMs(timeout), ...(pretimeoutMs !== undefined && { pretimeoutMs }), noWayOut };
}

function parseMs(text: string | undefined): number {
  if (text === undefined || !secondsForm.test(text)) throw invalid(`"${shown(text ?? "")}" is no time in seconds, such as 30 or 2.5; ${known}`);
  return Math.round(Number(text) * 1_000);
}

function seconds(ms: number): string {
  return String(ms / 1_000);
}

function yes(is: boolean): string {
  return is ? "yes" : "no";
}

function shown(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
}

function invalid(what: string): AirlockError {
  return new AirlockError("InvalidArgument", what);
}
