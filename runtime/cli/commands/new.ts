/** `airlock new`: starts a driver package: a copy of the template, or a skeleton of its class's operations. */
import path from "node:path";
import { AirlockError } from "../../api/errors.ts";
import { advice } from "../../machine/suggest.ts";
import { name as nameSchema } from "../../machine/values.ts";
import { classNames } from "../class-modules.ts";
import type { CommandDefinition } from "../command.ts";
import { newPackage } from "../new-package.ts";

const command: CommandDefinition = {
  name: "new",
  summary: "start a driver package of a class, with a test that runs",
  examples: ["airlock new rtc my-clock --in drivers", "airlock new serial my-uart"],
  declare(command) {
    command
      .argument("<class>", `what the device is: ${classNames().join(", ")}`)
      .argument("<name>", "the package's name and folder")
      .option("--in <directory>", "where the folder is made", ".");
  },
  async run({ args, options, output }) {
    const [className, name] = args as [string, string];
    const classes = classNames();
    if (!classes.includes(className)) {
      throw new AirlockError("InvalidArgument", `there is no class "${className}"; ${advice(className, classes, "class")}`, { class: className });
    }
    const parsed = nameSchema.safeParse(name);
    if (!parsed.success) throw new AirlockError("InvalidArgument", `"${name}" ${parsed.error.issues[0]?.message ?? "is not a name"}`, { name });
    const made = await newPackage(className, parsed.data, String(options["in"]));
    output.result({ package: made.directory, files: made.files, from: made.from }, () => [
      `made ${made.directory}: ${made.files.join(", ")}`,
      "next:",
      `  npx airlock check ${made.directory}`,
      `  npx vitest run ${path.join(made.directory, "driver.test.ts")}`,
    ].join("\n"));
  },
};

export default command;
