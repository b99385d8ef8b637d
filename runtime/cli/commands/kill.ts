/** `airlock kill`: makes a running driver fail, plainly or in the way of a fault, and tells how it was detected. */
import { findFaults } from "../../faults/find-faults.ts";
import { AirlockError } from "../../api/errors.ts";
import { advice } from "../../machine/suggest.ts";
import type { CommandDefinition, Output } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import type { KillResult } from "../control/requests.ts";
import { exitCodes } from "../exit-codes.ts";
import { textTable } from "../text-table.ts";

const command: CommandDefinition = {
  name: "kill",
  summary: "make a driver fail; --how names the fault that makes it fail (--how list shows them)",
  examples: ["airlock kill clock", "airlock kill console --how hang", "airlock kill --how list"],
  declare(command) {
    command.argument("[driver]", "the driver").option("--how <fault>", "how it fails, or list", "kill");
    declareMachineOptions(command);
  },
  async run({ args: [driver], options, output }) {
    const how = String(options["how"]);
    if (how === "list") return listFaults(output);
    if (driver === undefined) throw new AirlockError("InvalidArgument", "missing required argument 'driver'; write airlock kill <driver>");
    await checkFault(how);
    const result = (await askDaemon(options, { do: "kill", driver, how })) as KillResult;
    output.result(result, () => killText(result));
    return result.detected && result.status.state !== "running" ? exitCodes.negative.code : exitCodes.ok.code;
  },
};

export default command;

async function listFaults(output: Output): Promise<void> {
  const faults = [...(await findFaults()).values()].map(({ name, title, where, detectedAs }) => ({ name, title, where, detectedAs }));
  const all = [{ name: "kill", title: "is ended by the supervisor", where: "now", detectedAs: ["killed"] }, ...faults];
  const rows = all.map(({ name, title, detectedAs }) => [name, title, detectedAs.join(", ")]);
  output.result(all, () => textTable([["FAULT", "THE DRIVER ...", "DETECTED AS"], ...rows]).join("\n"));
}

/** Before the daemon is asked: the same faults are on both sides, and a typo needs no machine. */
async function checkFault(how: string): Promise<void> {
  const names = ["kill", ...(await findFaults()).keys()];
  if (!names.includes(how)) throw new AirlockError("InvalidArgument", `there is no fault "${how}"; ${advice(how, names, "fault")} (--how list shows all)`, { how });
}

function killText({ driver, how, detected, kind, message, status }: KillResult): string {
  if (!detected) return `fault ${how} is armed in ${driver}: it acts at the driver's next operation or interrupt`;
  const away = `is ${status.state}${status.reason === undefined ? "" : `: ${status.reason}`}`;
  const after = status.state === "running" ? `is running again as generation ${status.generation}` : away;
  return `${driver} failed: ${kind}: ${message}\n${driver} ${after}`;
}
