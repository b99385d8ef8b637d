/** `airlock bench`: the figures that are not about failures, each a file of cli/bench. */
import { type Command, Argument } from "commander";
import type { CommandCall, CommandDefinition } from "../command.ts";
import { findBenches } from "../bench/find-benches.ts";

const benches = await findBenches();

const command: CommandDefinition = {
  name: "bench",
  summary: "measure what things cost, side by side in one run",
  examples: ["airlock bench registers --json", "airlock bench block --seconds 3", "airlock bench density --drivers 500 --json"],
  declare: (bench: Command) => {
    bench.addArgument(new Argument("<what>", "what to measure").choices([...benches.keys()]));
    for (const { name, options = [] } of benches.values()) {
      for (const { flags, description, default: preset } of options) bench.option(flags, `for ${name}: ${description}`, preset);
    }
    bench.addHelpText("after", () => ["", "What there is to measure:", ...[...benches.values()].map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`)].join("\n"));
  },
  run,
};

export default command;

async function run({ args, options, output }: CommandCall): Promise<void> {
  const bench = benches.get(args[0]!)!;
  const result = await bench.run({ options, progress: (text) => output.remark(text) });
  output.result(result, () => bench.text(result));
}
