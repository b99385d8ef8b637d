/** `airlock why`: which device a driver got and why, what it was granted and denied, and what it holds. */
import { type Explanation, explain, explanationText } from "../../io-manager/why.ts";
import { judge } from "../../io-manager/match.ts";
import { loadDescribedMachine } from "../bring-up.ts";
import { type CommandDefinition, textOption } from "../command.ts";
import { askDaemon, declareMachineOptions } from "../control/find-daemon.ts";
import { exitCodes } from "../exit-codes.ts";

const command: CommandDefinition = {
  name: "why",
  summary: "explain a driver's devices, grants and denials, with the ledger when its machine is running",
  examples: ["airlock why clock", "airlock why clock --file runtime/machine/examples/lab.yaml"],
  declare(command) {
    command.argument("<driver>", "the driver").option("--file <machine.yaml>", "explain this machine file; nothing has to run");
    declareMachineOptions(command);
  },
  async run({ args, options, output }) {
    const driver = args[0]!;
    const file = textOption(options, "file");
    const explanation = file === undefined
      ? ((await askDaemon(options, { do: "why", driver })) as Explanation) : await explainFile(driver, file);
    output.result(explanation, () => explanationText(explanation));
    return explanation.problems.length > 0 ? exitCodes.badInput.code : exitCodes.ok.code;
  },
};

export default command;

async function explainFile(driver: string, file: string): Promise<Explanation> {
  const loaded = await loadDescribedMachine(file);
  return explain(driver, judge(loaded, loaded.devices));
}
