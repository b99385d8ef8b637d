/** `airlock build`: compiles an unmodified Linux driver to WebAssembly and writes its driver package, or says what it lacks. */
import type { Command } from "commander";
import { AirlockError } from "../../api/errors.ts";
import { compatibleName, name as nameSchema } from "../../machine/values.ts";
import { buildModule } from "../../../shims/tools/build-module.ts";
import { checkAll } from "../../../shims/tools/check-drivers.ts";
import { summaryOf, summaryText } from "../../../shims/tools/check-report.ts";
import { defaultDirectory, writePackage } from "../../../shims/tools/package.ts";
import { lineProgress, noProgress, type Progress } from "../../../shims/tools/progress.ts";
import { buildText, lackText, refuseLacking, reportOf } from "../../../shims/tools/report.ts";
import { openWorkbench } from "../../../shims/tools/workbench.ts";
import { type CommandCall, type CommandDefinition, textOption } from "../command.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { textTable } from "../text-table.ts";

const command: CommandDefinition = {
  name: "build",
  summary: "build a Linux driver, unmodified, into a driver package, or list what it needs that is not there",
  examples: [
    "airlock build CONFIG_I6300ESB_WDT",
    "airlock build drivers/net/ethernet/realtek/8139too.c --out drivers/realtek",
    "airlock build --check CONFIG_E100",
    "airlock build --check --all --json",
  ],
  declare(build: Command) {
    build
      .argument("[driver]", "a driver's .c file, its folder, or its CONFIG_ symbol; files that are not here are looked for in the kernel source")
      .option("--kernel-src <path>", "the kernel source: a folder or a .tar.xz; Debian's package linux-source-6.1 when left out")
      .option("--out <directory>", "the package's folder; drivers/linux-<module> when left out")
      .option("--strict", "refuse a driver that needs functions which are not there, instead of making each a trap that says its name")
      .option("--compatible <name>", "a further name of devices it drives; may be repeated", several, [])
      .option("--window <name>", "of a device that is not on PCI: how machine files call its ports; may be repeated", several, [])
      .option("--irq <name>", "of a device that is not on PCI: how machine files call its interrupt; may be repeated", several, [])
      .option("--check", "write nothing; say what the driver needs that is not there")
      .option("--all", "with --check: every network, watchdog, rtc and hw_random driver for PCI that the source has");
  },
  run,
};

export default command;

async function run(call: CommandCall): Promise<ExitCode> {
  const { args: [what], options, json, output } = call;
  const progress = json ? noProgress : lineProgress((line) => { output.remark(line); }, () => performance.now());
  if (options["all"] === true) return checkEverything(call, progress);
  if (what === undefined) throw new AirlockError("InvalidArgument", "name a driver: its .c file, its folder, or its CONFIG_ symbol; see airlock build --help");
  const given = givenFacts(options);
  const bench = await openWorkbench({ kernelSource: textOption(options, "kernelSrc"), what, progress, nowMs: () => Date.now() });
  const built = await buildModule(what, bench);
  if (options["check"] === true) {
    const report = reportOf(built);
    output.result(report, () => lackText(report));
    return report.ok ? exitCodes.ok.code : exitCodes.negative.code;
  }
  refuseLacking(built, options["strict"] === true);
  const written = await writePackage(built, textOption(options, "out") ?? defaultDirectory(built.module.name), given, bench);
  output.result({ ...written, ...reportOf(built) }, () => buildText(written, built));
  return exitCodes.ok.code;
}

/** `--check --all`: lacking something is what it is about, not a failure. */
async function checkEverything({ args: [what], options, output }: CommandCall, progress: Progress): Promise<ExitCode> {
  if (options["check"] !== true) throw new AirlockError("InvalidArgument", "--all is for checking; write --check --all");
  if (what !== undefined) throw new AirlockError("InvalidArgument", `--all checks every driver there is; leave out "${what}" or --all`);
  const bench = await openWorkbench({ kernelSource: textOption(options, "kernelSrc"), progress, nowMs: () => Date.now() });
  const drivers = await checkAll(bench);
  const summary = summaryOf(drivers);
  output.result({ ...summary, drivers }, () => summaryText(summary, textTable));
  return exitCodes.ok.code;
}

function several(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function givenFacts(options: CommandCall["options"]): { compatible: string[]; windows: string[]; irqs: string[] } {
  const list = (option: string, schema: typeof nameSchema): string[] => (options[option] as string[]).map((value) => {
    const parsed = schema.safeParse(value);
    if (!parsed.success) throw new AirlockError("InvalidArgument", `--${option} "${value}" ${parsed.error.issues[0]?.message ?? "is not a name"}`);
    return parsed.data;
  });
  return { compatible: list("compatible", compatibleName), windows: list("window", nameSchema), irqs: list("irq", nameSchema) };
}
