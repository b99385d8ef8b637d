/** `airlock hold`: stops a driver until it is released. */
import { type CommandDefinition, textOption } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import type { DriverReport } from "../control/status.ts";
import { exitCodes } from "../exit-codes.ts";

const command: CommandDefinition = {
  name: "hold",
  summary: "stop a driver, its device quiet, until it is released",
  examples: ["airlock hold console", 'airlock hold console --reason "cable is being replaced"'],
  declare(command) {
    command.argument("<driver>", "the driver").option("--reason <text>", "why, for whoever looks at the machine");
    declareMachineOptions(command);
  },
  async run({ args, options, output }) {
    const reason = textOption(options, "reason");
    const report = (await askDaemon(options, { do: "hold", driver: args[0]!, ...(reason !== undefined && { reason }) })) as DriverReport;
    output.result(report, () => `${report.driver} is ${report.state}${report.reason === undefined ? "" : `: ${report.reason}`}`);
    return report.state === "held" ? exitCodes.ok.code : exitCodes.negative.code;
  },
};

export default command;
