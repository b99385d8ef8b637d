/** The control socket's protocol: one JSON object per line, requests checked by this schema before anything is done. */
import { z } from "zod";
import { LogLevel } from "../../api/bridge.ts";
import { AirlockError, type ErrorFields, errorCodes, type ErrorCode, errorText, isAirlockError } from "../../api/errors.ts";

/** Longest request line: the longest request, a hold with its reason, fits several times over. */
export const requestMostBytes = 4_096;
/** Longest reply line a client takes: `ps` of the largest machine (1024 drivers) is well below. */
export const replyMostBytes = 16 * 1_048_576;
/** Longest path of a socket on Linux (unix(7): sun_path has 108 bytes, the last is 0). */
export const socketPathMostBytes = 107;

/** Levels by name, as `--level` takes them. */
export const levelNames = ["debug", "info", "warn", "error"] as const;
export type LevelName = (typeof levelNames)[number];

/** A driver's name in a request; instances are "<driver>.<device>", two names of at most 48 characters. */
const driver = z.string().min(1).max(128);
const id = z.int().min(0).max(2 ** 31 - 1);
/** Why an operator holds a driver: a sentence. */
const reason = z.string().min(1).max(200);
const faultName = z.string().min(1).max(64);
/** As many lines as the daemon keeps per driver. */
const lines = z.int().min(0).max(1_000);

/** What a client may ask. Strict: an unknown key is an error, not an ignored wish. */
export const requestSchema = z.discriminatedUnion("do", [
  z.strictObject({ id, do: z.literal("hello") }),
  z.strictObject({ id, do: z.literal("ps") }),
  z.strictObject({ id, do: z.literal("why"), driver }),
  z.strictObject({
    id, do: z.literal("logs"), driver: driver.optional(), level: z.enum(levelNames).default("debug"), lines: lines.default(200),
    follow: z.boolean().default(false),
  }),
  z.strictObject({ id, do: z.literal("kill"), driver, how: faultName.optional() }),
  z.strictObject({ id, do: z.literal("restart"), driver }),
  z.strictObject({ id, do: z.literal("hold"), driver, reason: reason.optional() }),
  z.strictObject({ id, do: z.literal("release"), driver }),
]);

export type ControlRequest = z.output<typeof requestSchema>;
/** A request without its id, as the client library takes it. */
export type Wish = z.input<typeof requestSchema> extends infer R ? (R extends { id: number } ? Omit<R, "id"> : never) : never;

/** `id` is that of the request; null when the request had none that could be read. */
const replyId = id.nullable();
const errorReply = z.object({
  code: z.string().max(64), message: z.string(), fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
});

/** Any number of `line`s, then one `result` or `error`. */
export const replySchema = z.union([
  z.strictObject({ id: replyId, line: z.unknown() }),
  z.strictObject({ id: replyId, error: errorReply }),
  z.strictObject({ id: replyId, result: z.unknown() }),
]);

export type ControlReply =
  | { readonly id: number | null; readonly line: unknown }
  | { readonly id: number | null; readonly result: unknown }
  | { readonly id: number | null; readonly error: { readonly code: string; readonly message: string; readonly fields: ErrorFields } };

export type ParsedRequest =
  | { readonly ok: true; readonly request: ControlRequest }
  | { readonly ok: false; readonly id: number | null; readonly reason: string };

/** The request in one line of text, or why it is none. */
export function parseRequest(bytes: Uint8Array): ParsedRequest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return { ok: false, id: null, reason: "the request is not one line of JSON in UTF-8" };
  }
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return { ok: true, request: parsed.data };
  const issue = parsed.error.issues[0];
  const written = id.safeParse((value as { id?: unknown } | null)?.id);
  const where = issue === undefined || issue.path.length === 0 ? "" : ` at "${issue.path.map(String).join(".").slice(0, 64)}"`;
  return { ok: false, id: written.success ? written.data : null, reason: `the request does not fit the protocol${where}: ${(issue?.message ?? "").slice(0, 200)}` };
}

/** An error as it crosses the socket. What is no AirlockError is a bug of the daemon; its text crosses, its stack does not. */
export function errorBody(error: unknown): { code: string; message: string; fields: ErrorFields } {
  if (isAirlockError(error)) return { code: error.code, message: error.message, fields: error.fields };
  return { code: "Internal", message: errorText(error), fields: {} };
}

/** The error that crossed, as it was. */
export function errorFrom(body: z.output<typeof errorReply>): Error {
  if (Object.hasOwn(errorCodes, body.code)) return new AirlockError(body.code as ErrorCode, body.message, body.fields);
  return new Error(`the daemon: ${body.message}`);
}

export function levelNumber(name: LevelName): LogLevel {
  return LogLevel[name];
}

/** @throws AirlockError InvalidArgument when the path is too long for a socket */
export function checkSocketPath(socket: string): void {
  const length = Buffer.byteLength(socket);
  if (length <= socketPathMostBytes) return;
  const what = `the control socket ${socket} would have a path of ${length} bytes, a socket's has at most ${socketPathMostBytes}`;
  throw new AirlockError("InvalidArgument", `${what}; choose a shorter directory with --state`, { path: socket });
}
