/** `airlock release`: ends a driver's hold. */
import type { CommandDefinition } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import type { DriverReport } from "../control/status.ts";
import { exitCodes } from "../exit-codes.ts";

const command: CommandDefinition = {
  name: "release",
  summary: "end a driver's hold and start it; its earlier failures are forgotten",
  examples: ["airlock release console"],
  declare(command) {
    command.argument("<driver>", "the driver");
    declareMachineOptions(command);
  },
  async run({ args, options, output }) {
    const result = (await askDaemon(options, { do: "release", driver: args[0]! })) as { released: boolean; status: DriverReport };
    const { driver, state, generation } = result.status;
    output.result(result, () => (result.released ? `${driver} is ${state}, generation ${generation}` : `${driver} was not held; it is ${state}`));
    return state === "held" ? exitCodes.negative.code : exitCodes.ok.code;
  },
};

export default command;
