/** `airlock trace`: lists crash dumps, shows one, or converts it for Perfetto. */
import { existsSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { AirlockError, errorText } from "../../api/errors.ts";
import { advice } from "../../machine/suggest.ts";
import type { CrashDump } from "../../trace/dump.ts";
import { type DumpFile, listDumps, readDump } from "../../trace/dump-files.ts";
import { toPerfetto } from "../../trace/perfetto.ts";
import { renderDump } from "../../trace/render.ts";
import { type CommandCall, type CommandDefinition, textOption } from "../command.ts";
import { declareMachineOptions, findState } from "../control/find-daemon.ts";
import { textTable } from "../text-table.ts";

const command: CommandDefinition = {
  name: "trace",
  summary: "list crash dumps, or show what led to a failure; --perfetto converts it for ui.perfetto.dev",
  examples: ["airlock trace", "airlock trace latest clock --last 40", "airlock trace latest --perfetto crash.json"],
  declare(command) {
    command
      .argument("[dump]", "a dump: its file, its name as listed, or latest")
      .argument("[driver]", "with latest: only this driver's dumps")
      .addOption(new Option("--last <number>", "show only that many entries").argParser(entryCount))
      .option("--perfetto <out.json>", "write it in Chrome's trace format instead");
    declareMachineOptions(command);
  },
  async run(call) {
    const [dump] = call.args;
    if (dump === undefined) return listAll(call);
    const file = await findDump(call, dump);
    const contents = await readDump(file);
    const target = textOption(call.options, "perfetto");
    if (target === undefined) {
      const last = call.options["last"] as number | undefined;
      call.output.result({ file, ...contents }, () => renderDump(contents, last === undefined ? {} : { last }));
      return;
    }
    const events = await writePerfetto(contents, target);
    call.output.result({ file, perfetto: target, events }, () => `wrote ${target}: ${events} events; open it at https://ui.perfetto.dev`);
  },
};

export default command;

async function listAll({ options, output }: CommandCall): Promise<void> {
  const { dumps: directory } = await findState(options);
  const dumps = await listDumps(directory);
  const list = dumps.map(({ path: file, driver, generation }) => ({ file, name: path.basename(file, ".json"), driver, generation }));
  output.result({ directory, dumps: list }, () => {
    if (list.length === 0) return `no crash dumps in ${directory}`;
    const rows = list.map(({ name, driver, generation }) => [driver, String(generation), name]);
    return [...textTable([["DRIVER", "GENERATION", "DUMP"], ...rows]), "", `in ${directory}`].join("\n");
  });
}

/** @throws AirlockError NotFound with a suggestion */
async function findDump({ args: [, driver], options }: CommandCall, dump: string): Promise<string> {
  if (dump !== "latest" && driver !== undefined) throw new AirlockError("InvalidArgument", `a driver is given with "latest" only; write airlock trace latest ${driver}`);
  if (dump !== "latest" && existsSync(dump) && statSync(dump).isFile()) return dump;
  const { dumps: directory } = await findState(options);
  const dumps = await listDumps(directory);
  const found = dump === "latest" ? latest(dumps, directory, driver) : dumps.find(({ path: file }) => path.basename(file, ".json") === path.basename(dump, ".json"));
  if (found !== undefined) return found.path;
  throw new AirlockError("NotFound", `no dump "${dump}" in ${directory}; \`airlock trace\` lists the dumps there are`, { dump });
}

function latest(dumps: readonly DumpFile[], directory: string, driver: string | undefined): DumpFile {
  const mine = dumps.filter((dump) => driver === undefined || dump.driver === driver);
  const last = mine.at(-1);
  if (last !== undefined) return last;
  if (driver === undefined) throw new AirlockError("NotFound", `no crash dumps in ${directory}; a driver that fails leaves one`, { directory });
  const known = advice(driver, new Set(dumps.map((dump) => dump.driver)), "dump");
  throw new AirlockError("NotFound", `no crash dump of driver "${driver}" in ${directory}; ${known}`, { directory, driver });
}

async function writePerfetto(dump: CrashDump, target: string): Promise<number> {
  const trace = toPerfetto(dump);
  try {
    await writeFile(target, JSON.stringify(trace));
  } catch (cause) {
    throw new AirlockError("StateUnusable", `cannot write ${target}: ${errorText(cause)}; name another file`, { path: target }, { cause });
  }
  return trace.traceEvents.length;
}

function entryCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("Write a whole number from 1.");
  return count;
}
