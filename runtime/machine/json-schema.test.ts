/** Tests of the exported JSON Schemas: they hold the keys, say what they mean, and know the exports. */
import { expect, test } from "vitest";
import { z } from "zod";
import { noExtensions } from "../../test/fixtures/machine-files.ts";
import { machineJsonSchema, manifestJsonSchema } from "./json-schema.ts";

test("the machine file's schema knows every key and the exports of this build", () => {
  const schema = machineJsonSchema({ exports: { pty: z.strictObject({ link: z.string() }) } });
  expect(schema).toMatchObject({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    additionalProperties: false,
    required: ["machine", "platform", "devices", "drivers"],
    properties: {
      exports: { additionalProperties: { oneOf: [{ properties: { type: { const: "pty" }, link: { type: "string" } }, required: ["type", "driver", "link"], additionalProperties: false }] } },
      drivers: { additionalProperties: { additionalProperties: false, properties: { sandbox: { enum: ["quickjs", "wasm", "worker"] } } } },
    },
  });
  expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
});

test("without exports, and for the manifest, the schema stays whole", () => {
  expect(machineJsonSchema(noExtensions)).toMatchObject({ properties: { exports: { additionalProperties: { required: ["type", "driver"] } } } });
  expect(manifestJsonSchema()).toMatchObject({ additionalProperties: false, properties: { needs: { properties: { windows: {}, irqs: {} } }, quiesce: { type: "array" } } });
});
