/** The small values machine files and manifests are made of: names, durations, sizes, options. */
import { z } from "zod";

/** Longest name of a machine, device, driver or resource: it appears in tables, sockets' paths and every error. */
const nameLength = 48;
/** Longest text value: an option is a setting, not a payload. */
const textLength = 1_024;

const nameHelp = `is not a name; write a lower-case letter, then letters, digits and "-", at most ${nameLength} characters`;
const durationHelp = 'is not a duration; write a whole number and its unit in quotes or bare: 500us, 100ms, 10s, 2m';
const sizeHelp = "is not a size; write a whole number of bytes, or one with its unit: 64KiB, 16MiB, 1GiB";

const durationUnits: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const sizeUnits: Readonly<Record<string, number>> = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 };

/** A name of a machine, driver, device, window or line. */
export const name = z.string({ error: nameHelp }).max(nameLength, { error: nameHelp }).regex(
  /^[a-z][a-zA-Z0-9]*(?:-[a-zA-Z0-9]+)*$/,
  { error: nameHelp },
);

/** A name of an option: any other name, or one as C writes them, which module parameters have. */
export const optionName = z.union([name, z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,30}$/, { error: nameHelp })], { error: nameHelp });

/** A name in `compatible`: what drivers and devices are matched by. */
export const compatibleName = z
  .string({ error: "is not a compatible name; write a string such as mc146818" })
  .regex(
    /^[a-z0-9][a-z0-9.,_-]{0,63}$/,
    { error: "is not a compatible name; write lower-case letters, digits and . , _ - only, at most 64 characters" },
  );

/** Text of a setting. */
export const text = z.string({ error: "is not text; write a string" }).max(
  textLength,
  { error: `is too long; at most ${textLength} characters` },
);

/** A path on this machine. */
export const path = text.min(1, { error: "is empty; write a path" }).refine(
  (value) => !value.includes("\0"),
  { error: "holds a NUL; write a path" },
);

/** A setting of a device or driver. */
export const optionValue = z.union(
  [text, z.number().finite(), z.boolean()],
  { error: "is not an option's value; write a string, a number, true or false" },
);
export type OptionValue = z.infer<typeof optionValue>;

/** A duration such as "10s" within these bounds, read as milliseconds. */
export function duration(leastMs: number, mostMs: number): z.ZodType<number> {
  return z
    .string({ error: durationHelp })
    .regex(/^\d{1,9}(?:us|ms|s|m|h)$/, { error: durationHelp })
    .transform((written, context) => {
      const [, count = "", unit = ""] = /^(\d+)(\w+)$/.exec(written) ?? [];
      const ms = Number(count) * (durationUnits[unit] ?? Number.NaN);
      if (ms >= leastMs && ms <= mostMs) return ms;
      context.addIssue(
        { code: "custom", message: `is out of range; write ${durationText(leastMs)} to ${durationText(mostMs)}`, input: written },
      );
      return z.NEVER;
    });
}

/** A size such as "16MiB" or a number of bytes within these bounds, read as bytes. */
export function size(leastBytes: number, mostBytes: number): z.ZodType<number> {
  const withUnit = z.string().regex(/^\d{1,12}(?:B|KiB|MiB|GiB)$/, { error: sizeHelp });
  return z.union([z.int(), withUnit], { error: sizeHelp }).transform((written, context) => {
    const [, count = "", unit = ""] = /^(\d+)(\w+)$/.exec(String(written)) ?? [];
    const bytes = typeof written === "number" ? written : Number(count) * (sizeUnits[unit] ?? Number.NaN);
    if (bytes >= leastBytes && bytes <= mostBytes) return bytes;
    context.addIssue(
      { code: "custom", message: `is out of range; write ${sizeText(leastBytes)} to ${sizeText(mostBytes)}`, input: written },
    );
    return z.NEVER;
  });
}

/** A whole number within these bounds. */
export function count(least: number, most: number): z.ZodType<number> {
  const help = `is not a whole number from ${least} to ${most}; write one`;
  return z.int({ error: help }).min(least, { error: help }).max(most, { error: help });
}

/** Milliseconds as a machine file writes them. */
export function durationText(ms: number): string {
  for (const [unit, scale] of [["m", 60_000], ["s", 1_000], ["ms", 1]] as const) {
    if (ms >= scale && ms % scale === 0) return `${ms / scale}${unit}`;
  }
  return `${Math.round(ms * 1_000)}us`;
}

/** Bytes as a machine file writes them. */
export function sizeText(bytes: number): string {
  for (const [unit, scale] of [["GiB", 1_073_741_824], ["MiB", 1_048_576], ["KiB", 1_024]] as const) {
    if (bytes >= scale && bytes % scale === 0) return `${bytes / scale}${unit}`;
  }
  return `${bytes}`;
}
