/** `airlock run`: brings a machine up and keeps it up, in the foreground, until a signal ends it. */
import { Option } from "commander";
import type { TierName } from "../../sandbox/sandbox.ts";
import { type CommandDefinition, textOption } from "../command.ts";
import { levelNames } from "../control/protocol.ts";
import { jsonView, terminalView } from "../daemon-view.ts";
import { runDaemon } from "../daemon.ts";
import { exitCodes } from "../exit-codes.ts";

const command: CommandDefinition = {
  name: "run",
  summary: "bring a machine up and keep it up until SIGINT or SIGTERM; a second signal ends it at once",
  examples: ["airlock run runtime/machine/examples/lab.yaml", "airlock run lab.yaml --state /var/lib/lab --log-level debug | npx pino-pretty"],
  declare(command) {
    command
      .argument("<machine.yaml>", "the machine file")
      .option("--state <directory>", "where its state is kept; by default below $XDG_STATE_HOME or ~/.local/state")
      .addOption(new Option("--sandbox <tier>", "run every driver in this tier, whatever the machine file says").choices(["quickjs", "worker"]))
      .addOption(new Option("--log-level <level>", "least important lines to log when stdout is no terminal").choices([...levelNames]).default("info"))
      .addHelpText("after", `
On a terminal it shows a table of the drivers, else (or with --json) one line of JSON per event.
Exit code 1 means that it was ended at once and not in order, 4 that the hardware was lost.`);
  },
  async run({ args, options, json }) {
    const live = process.stdout.isTTY && !json;
    const view = live ? terminalView(process.stdout) : jsonView(String(options["logLevel"]), 1);
    const inOrder = await runDaemon({ file: args[0]!, state: textOption(options, "state"), sandbox: options["sandbox"] as TierName | undefined, view });
    return inOrder ? exitCodes.ok.code : exitCodes.negative.code;
  },
};

export default command;
