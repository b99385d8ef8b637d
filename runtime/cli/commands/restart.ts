/** `airlock restart`: replaces a driver's generation; its clients notice nothing but the time it takes. */
import type { CommandDefinition } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import type { DriverReport } from "../control/status.ts";
import { exitCodes } from "../exit-codes.ts";

const command: CommandDefinition = {
  name: "restart",
  summary: "restart a driver; this does not count against its restart limits",
  examples: ["airlock restart clock"],
  declare(command) {
    command.argument("<driver>", "the driver");
    declareMachineOptions(command);
  },
  async run({ args, options, output }) {
    const report = (await askDaemon(options, { do: "restart", driver: args[0]! })) as DriverReport;
    const { driver, state, generation, reason } = report;
    output.result(report, () => `${driver} is ${state}, generation ${generation}${reason === undefined ? "" : `: ${reason}`}`);
    return state === "running" ? exitCodes.ok.code : exitCodes.negative.code;
  },
};

export default command;
