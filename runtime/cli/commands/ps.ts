/** `airlock ps`: the drivers of a running machine. */
import type { CommandDefinition } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import type { MachineReport } from "../control/status.ts";
import { driversTable, machineLine, reasonLines } from "../text-table.ts";

const command: CommandDefinition = {
  name: "ps",
  summary: "list the drivers of a running machine: state, generation, failures, restarts, recovery time",
  examples: ["airlock ps", "airlock ps --machine lab --json"],
  declare: declareMachineOptions,
  async run({ options, output }) {
    const report = (await askDaemon(options, { do: "ps" })) as MachineReport;
    output.result(report, () => psText(report));
  },
};

export default command;

function psText(report: MachineReport): string {
  const exports = report.exports.map(({ name, type, driver, address }) => `export ${name} (${type}) of ${driver}: ${address}`);
  const reasons = reasonLines(report.drivers);
  return [machineLine(report), ...exports, "", ...driversTable(report.drivers), ...(reasons.length > 0 ? ["", ...reasons] : [])].join("\n");
}
