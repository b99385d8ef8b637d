/** The machine file and the manifest as JSON Schema, for editors and `airlock schema`. */
import { jsonSchema } from "./check.ts";
import type { MachineExtensions } from "./load.ts";
import { manifestSchema } from "./manifest-schema.ts";
import { machineSchema } from "./schema.ts";

type Json = Record<string, unknown>;

/** JSON Schema (2020-12) of `driver.json`. */
export function manifestJsonSchema(): Json {
  return jsonSchema(manifestSchema);
}

/** JSON Schema (2020-12) of a machine file, with the exports this build has. */
export function machineJsonSchema(extensions: MachineExtensions): Json {
  const machine = jsonSchema(machineSchema) as Json;
  const properties = machine["properties"] as Record<string, Json>;
  const exported = properties["exports"]!["additionalProperties"] as Json;
  const kinds = Object.entries(extensions.exports).map(([type, schema]) => exportKind(type, jsonSchema(schema) as Json, exported));
  // Without any export the generic entry stays, so that the schema remains a valid one.
  if (kinds.length > 0) properties["exports"]!["additionalProperties"] = { oneOf: kinds };
  return machine;
}

function exportKind(type: string, whole: Json, common: Json): Json {
  const own = Object.fromEntries(Object.entries(whole).filter(([key]) => key !== "$schema"));
  const driver = (common["properties"] as Json)["driver"];
  const required = (own["required"] as string[] | undefined) ?? [];
  return {
    ...own,
    properties: { type: { const: type }, driver, ...(own["properties"] as Json | undefined) },
    required: ["type", "driver", ...required],
  };
}
