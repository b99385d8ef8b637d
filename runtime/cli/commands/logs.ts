/** `airlock logs`: what drivers said, and what the runtime said about them. */
import { InvalidArgumentError, Option } from "commander";
import { isAirlockError } from "../../api/errors.ts";
import { logLevelName } from "../../trace/render.ts";
import type { CommandDefinition } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import { type LevelName, levelNames } from "../control/protocol.ts";
import type { ShownLine } from "../control/requests.ts";
import { jsonText } from "../output.ts";

const command: CommandDefinition = {
  name: "logs",
  summary: "print the log of a running machine or of one driver; --follow waits for more",
  examples: ["airlock logs clock", "airlock logs --follow --level warn", "airlock logs --json | jq .text"],
  declare(command) {
    command
      .argument("[driver]", "only this driver; all when left out")
      .option("-f, --follow", "go on with what is logged from now on, until Ctrl-C")
      .addOption(new Option("--level <level>", "least important lines to print").choices([...levelNames]).default("debug"))
      .addOption(new Option("-n, --lines <number>", "how many past lines, at most 1000").argParser(lineCount).default(200));
    declareMachineOptions(command);
  },
  async run({ args: [driver], options, json, output }) {
    const follow = options["follow"] === true;
    const show = (line: unknown): void => output.line(json ? jsonText(line) : lineText(line as ShownLine));
    try {
      await askDaemon(
        options, { do: "logs", ...(driver !== undefined && { driver }), level: options["level"] as LevelName, lines: Number(options["lines"]), follow },
        { onLine: show, ...(follow && { limitMs: Infinity }) },
      );
    } catch (error) {
      // The machine was stopped while we followed it: that is the end of its log.
      if (!(follow && isAirlockError(error, "Closed"))) throw error;
      output.remark(error.message);
    }
  },
};

export default command;

function lineText({ epochMs, driver, generation, source, level, text }: ShownLine): string {
  const who = source === "driver" ? `${driver}/${generation}` : `[${driver}/${generation}]`;
  return `${new Date(epochMs).toISOString()} ${logLevelName(level).padEnd(5)} ${who} ${text}`;
}

function lineCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0 || count > 1_000) throw new InvalidArgumentError("Write a whole number from 0 to 1000.");
  return count;
}
