/** A driver package's `driver.json` as a schema: what it is, what it needs, and how its device is made quiet. */
import { z } from "zod";
import { compatibleName, count, duration, name, optionName, optionValue, path, size, text } from "./values.ts";

/** The version of `airlock/driver` this build speaks. */
export const apiVersion = 1;
/**
 * Windows and lines one driver may hold together: a driver waits for its lines with one bit each in a 32-bit word, and the
 * last bit is the host's.
 */
export const resourcesPerDriver = 31;
/** Names of devices one driver may have: some Linux drivers know hundreds. */
const devicesPerDriver = 1_024;
/** Settings one driver may declare; more is a program, not a driver. */
const optionsPerDriver = 64;
/** Steps in a quiesce recipe: it runs inside teardown, whose time is limited. */
const quiesceSteps = 64;
/** Largest window one driver may need: a BAR of 1 GiB. */
export const windowMostBytes = 2 ** 30;

export const tierNames = ["quickjs", "wasm", "worker"] as const;
/** The isolation tiers a driver can run in. */
export type Tier = (typeof tierNames)[number];
/** A sandbox's memory, in a manifest or a machine file: QuickJS itself needs about a MiB; one driver never needs a GiB. */
export const memoryLimit = size(1 << 20, 2 ** 30);
/** A turn's CPU time: shorter than a millisecond can't be measured against the other threads of a busy machine. */
export const turnLimit = duration(1, 10_000);

const widths = z
  .array(
    z.literal([8, 16, 32], { error: "is not an access width; write 8, 16 or 32" }),
    { error: "is not a list; write the access widths in bits: [8]" },
  )
  .min(1, { error: "is empty; write at least one access width" })
  .refine((list) => new Set(list).size === list.length, { error: "names a width twice; write each once" });

const windowNeed = z
  .strictObject({
    sizeBytes: count(1, windowMostBytes).optional().describe("Bytes from the window's start that the driver uses; all of it when left out"),
    optional: z.boolean().default(false).describe("Whether the driver works without it: then it gets it where the machine file grants it"),
    rights: z.enum(["read", "write", "readwrite"]).describe("What the driver does with it"),
    widths: widths.default([8]).describe("Access widths in bits the driver uses; [8] when left out"),
  })
  .describe("A register window the driver needs");

/** DMA regions one driver may need: its rings and tables, and the class's buffers. */
export const dmaRegionsPerDriver = 8;
/** Largest DMA region one driver may need. */
const dmaMostBytes = 256 * 2 ** 20;

const dmaNeed = z
  .strictObject({
    size: size(1, dmaMostBytes).describe("Bytes, rounded up to whole pages of 4096"),
    use: z.enum(["driver", "buffers"]).default("driver").describe(
      "driver: the driver and its device share it; buffers: the class keeps there what requests carry, and the driver never sees it",
    ),
    visible: z.boolean().optional().describe("With use buffers: the driver sees their contents too, because it copies them itself"),
  })
  .describe("DMA memory in the driver's IOMMU domain");

const offset = count(0, windowMostBytes - 1);
const width = z.literal([8, 16, 32], { error: "is not an access width; write 8, 16 or 32" });
const value = count(0, 2 ** 32 - 1);
const place = { window: name, offset, width };
const quiesceStep = z.discriminatedUnion("do", [
  z.strictObject({ do: z.literal("write"), ...place, value }).describe("Writes a register"),
  z.strictObject({ do: z.literal("modify"), ...place, and: value, or: value }).describe("Reads, then writes back (value & and) | or"),
  z.strictObject({ do: z.literal("read"), ...place }).describe("Reads a register for its side effect"),
]);

const about = text.default("").describe("What the option sets, in one sentence");
const optional = z.boolean().optional().describe("Whether it may be left out though it has no default: then the driver is not told of it");
const option = z.discriminatedUnion("type", [
  z.strictObject(
    {
      type: z.literal("string"),
      default: text.optional(),
      values: z.array(text).min(1).max(64).optional().describe("The only values it takes"),
      doc: about,
      optional,
    },
  ),
  z.strictObject(
    { type: z.literal("number"), default: z.number().optional(), min: z.number().optional(), max: z.number().optional(), doc: about, optional },
  ),
  z.strictObject({ type: z.literal("boolean"), default: z.boolean().optional(), doc: about, optional }),
]);

/** The schema of `driver.json`; input and output differ only in defaults and units. */
export const manifestSchema = z
  .strictObject({
    $schema: text.optional(),
    name: name.describe("The package's name"),
    class: name.describe("The class it implements: rtc, serial, ..."),
    apiVersion: z.literal(apiVersion, { error: `is not supported; this build speaks apiVersion ${apiVersion}` }).describe(
      "The airlock/driver version it is written for",
    ),
    contractVersion: count(1, 1_000_000).describe("The version of its class's contract"),
    tier: z.enum(tierNames).describe("The strictest tier the code works in: quickjs code works everywhere but in wasm, worker code needs V8, wasm is for modules"),
    main: path.describe("The entry file, inside the package; a .wasm file for the tier wasm"),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, { error: "is no SHA-256; write 64 lower-case hexadecimal digits" }).optional().describe(
      "The checksum of main, which the tier wasm requires",
    ),
    compatible: z.array(compatibleName).min(1, { error: "is empty; name at least one device" }).max(devicesPerDriver).describe("The devices it drives"),
    needs: z
      .strictObject({
        windows: z.record(name, windowNeed).default({}).describe("Register windows by resource name"),
        irqs: z.array(name).max(resourcesPerDriver).default([]).describe("Interrupt lines by resource name"),
        optionalIrqs: z.array(name).max(resourcesPerDriver).default([]).describe("Lines that it works without: it gets those that the machine file grants"),
        dma: z.record(name, dmaNeed).default({}).describe("DMA memory by resource name; at most one region with use buffers"),
      })
      .describe("Resources without which it can't work; a machine file grants exactly these"),
    limits: z
      .strictObject({ memory: memoryLimit.optional(), turn: turnLimit.optional() })
      .default({})
      .describe("What the author measured it to need"),
    options: z
      .record(optionName, option)
      .refine((all) => Object.keys(all).length <= optionsPerDriver, { error: `declares too many; at most ${optionsPerDriver}` })
      .default({})
      .describe("Settings a machine file may give it"),
    quiesce: z.array(quiesceStep).max(quiesceSteps).default([]).describe(
      "Makes the device quiet when the driver can't; done through the needed windows",
    ),
  })
  .describe("Airlock driver manifest (driver.json)");

/** A checked manifest: sizes in bytes, durations in milliseconds, defaults filled in. */
export type Manifest = z.output<typeof manifestSchema>;
export type ManifestOption = Manifest["options"][string];
export type DmaNeed = Manifest["needs"]["dma"][string];
export type WindowNeed = Manifest["needs"]["windows"][string];

/** Why `given` is not a value of the declared option; undefined when it is. Names what would be right. */
export function optionMismatch(declared: ManifestOption, given: z.infer<typeof optionValue>): string | undefined {
  if (typeof given !== declared.type) return `write a ${declared.type}`;
  if (declared.type === "string" && declared.values !== undefined && !declared.values.includes(String(given))) {
    return `write one of ${declared.values.map((one) => `"${one}"`).join(", ")}`;
  }
  if (declared.type === "number") {
    if (declared.min !== undefined && Number(given) < declared.min) return `write at least ${declared.min}`;
    if (declared.max !== undefined && Number(given) > declared.max) return `write at most ${declared.max}`;
  }
  return undefined;
}
