/** `airlock schema`: JSON Schema of machine files and manifests, for editors. */
import { Argument } from "commander";
import { findExports } from "../../exports/find-exports.ts";
import { machineJsonSchema, manifestJsonSchema } from "../../machine/json-schema.ts";
import type { CommandDefinition } from "../command.ts";

const command: CommandDefinition = {
  name: "schema",
  summary: "print the JSON Schema of machine files or of driver manifests",
  examples: ["airlock schema machine > airlock-machine.schema.json", "airlock schema manifest"],
  declare(command) {
    command.addArgument(new Argument("[kind]", "which file").choices(["machine", "manifest"]).default("machine"));
  },
  async run({ args: [kind], output }) {
    const exports = Object.fromEntries([...(await findExports())].map(([type, definition]) => [type, definition.options]));
    const schema = kind === "manifest" ? manifestJsonSchema() : machineJsonSchema({ exports });
    output.result(schema, () => JSON.stringify(schema, null, 2));
  },
};

export default command;
