/** `airlock bench`: the figures that are not about failures: register accesses, and many drivers on one machine. */
import { type Command, Argument } from "commander";
import Table from "cli-table3";
import { benchDensity } from "../bench/density.ts";
import { type RegisterBench, benchRegisters } from "../bench/registers.ts";
import type { CommandCall, CommandDefinition } from "../command.ts";
import { wholeNumber } from "../soak/session.ts";

const command: CommandDefinition = {
  name: "bench",
  summary: "measure register accesses per tier, or hundreds of drivers on one machine",
  examples: ["airlock bench registers --json", "airlock bench density --drivers 500 --json"],
  declare: (bench: Command) => {
    bench
      .addArgument(new Argument("<what>", "what to measure").choices(["registers", "density"]))
      .option("--drivers <number>", "for density: how many drivers", "500");
  },
  run,
};

export default command;

async function run({ args, options, output }: CommandCall): Promise<void> {
  if (args[0] === "density") {
    const result = await benchDensity(Math.max(1, wholeNumber(options.drivers, "--drivers")), (text) => output.remark(text));
    output.result(result, () => [
      `${result.drivers} drivers up after ${result.startMs} ms (${result.startMsPerDriver} ms each), ${result.failures} failures on the way`,
      `${result.rssMiB} MiB of memory (${result.rssMiBPerDriver} MiB each)`,
      `one call of each: p50 ${result.callMicros.p50} us, p99 ${result.callMicros.p99} us`,
    ].join("\n"));
  } else {
    const result = await benchRegisters((text) => output.remark(text));
    output.result(result, () => registersText(result));
  }
}

const titles: Readonly<Record<keyof RegisterBench, string>> = {
  sharedArrayBuffer: "bare SharedArrayBuffer (V8)",
  rawHostCall: "raw quickjs host call, does nothing",
  quickjs: "driver in the quickjs tier",
  worker: "driver in the worker tier",
};

function registersText(result: RegisterBench): string {
  const table = new Table({ head: ["", "ns per posted write", "ns per read"], style: { head: [], border: [] }, colAligns: ["left", "right", "right"] });
  for (const [name, title] of Object.entries(titles)) {
    const cost = result[name as keyof RegisterBench];
    table.push([title, cost.writeNs, cost.readNs]);
  }
  return table.toString();
}
