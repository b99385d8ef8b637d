/** `airlock check`: everything that is wrong with a driver package, before anybody runs it. */
import { AirlockError } from "../../api/errors.ts";
import type { CommandDefinition } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { checkPackage } from "../package-check.ts";

const command: CommandDefinition = {
  name: "check",
  summary: "check a driver package: manifest, class and contract, code, imports, and needs its code does not use",
  examples: ["airlock check drivers/rtc-mc146818", "airlock check drivers/template --json"],
  declare(command) {
    command.argument("<package>", "the package's directory, which holds driver.json");
  },
  async run({ args, json, output }) {
    const directory = args[0]!;
    const { problems, manifest } = await checkPackage(directory);
    if (problems.length > 0) {
      const lines = problems.map(({ file, line, column, text }) => `${file}:${line}:${column}: ${text}`);
      if (!json) throw new AirlockError("ManifestInvalid", lines.join("\n"));
      output.result({ package: directory, ok: false, problems }, () => "");
      return exitCodes.badInput.code;
    }
    const { name, class: className, contractVersion, tier, needs, compatible } = manifest!.manifest;
    const windows = Object.entries(needs.windows).map(([window, { sizeBytes, rights, widths, optional }]) =>
      `${window} (${sizeBytes === undefined ? "all of it" : `${sizeBytes} bytes`}, ${rights}, ${widths.join("/")}-bit${optional ? ", optional" : ""})`);
    const dma = Object.entries(needs.dma).map(([region, { size, use }]) => `${region} (${size} bytes of DMA memory${use === "buffers" ? " for the class" : ""})`);
    const needed = [...windows, ...needs.irqs.map((irq) => `${irq} (interrupt)`), ...needs.optionalIrqs.map((irq) => `${irq} (interrupt, optional)`), ...dma].join(", ") || "nothing";
    output.result(
      { package: directory, ok: true, problems: [], manifest: manifest!.manifest },
      () => `${directory}: ok: ${name}, class ${className} (contract ${contractVersion}), tier ${tier}, drives ${compatible.join(", ")}, needs ${needed}`,
    );
    return exitCodes.ok.code;
  },
};

export default command;
