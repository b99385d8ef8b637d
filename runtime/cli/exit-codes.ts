/** The exit codes of `airlock`, and which error leads to which: the one table that help and README are made from. */
import { type ErrorCode, isAirlockError } from "../api/errors.ts";

/** Name -> number and meaning. Stable: scripts depend on them. */
export const exitCodes = {
  ok: { code: 0, meaning: "done; nothing was found wrong" },
  negative: { code: 1, meaning: "the command ran and its answer is no: a failure was not detected or not recovered, a client saw an error; also an internal error" },
  usage: { code: 2, meaning: "the command line is wrong: unknown command, option, argument or fault, or a file that is not what the command takes" },
  badInput: { code: 3, meaning: "a machine file, manifest, bundle or package is wrong; each problem is one line" },
  platform: { code: 4, meaning: "the platform cannot be started here, or the hardware was lost" },
  state: { code: 5, meaning: "the state directory or a socket, port or path is taken or cannot be used" },
  notFound: { code: 6, meaning: "no such driver, file or dump, or no such machine is running" },
  unavailable: { code: 7, meaning: "the driver or the daemon cannot do that now: held, closing, overloaded, or not supported here" },
  interrupted: { code: 130, meaning: "SIGINT ended a trial, soak or bench before its end; 143 when it was SIGTERM" },
} as const;

export type ExitName = keyof typeof exitCodes;
/** One of the numbers above. */
export type ExitCode = (typeof exitCodes)[ExitName]["code"];

/** Which exit each error leads to; complete by its type. */
export const exitOfError: Readonly<Record<ErrorCode, ExitName>> = {
  CapabilityViolation: "negative",
  CapabilityRevoked: "negative",
  ProtocolViolation: "negative",
  InvalidArgument: "usage",
  MayHaveExecuted: "negative",
  DriverUnavailable: "unavailable",
  HardwareLost: "platform",
  DeviceError: "platform",
  HardwareTimeout: "platform",
  QueueFull: "unavailable",
  Closed: "unavailable",
  MachineFileInvalid: "badInput",
  ManifestInvalid: "badInput",
  BundleInvalid: "badInput",
  PlatformUnavailable: "platform",
  AddonMissing: "platform",
  StateUnusable: "state",
  AddressInUse: "state",
  NotFound: "notFound",
  Unsupported: "unavailable",
};

/** The exit code for anything thrown; what is not an AirlockError is a bug and counts as negative. */
export function exitCodeOf(error: unknown): ExitCode {
  return exitCodes[isAirlockError(error) ? exitOfError[error.code] : "negative"].code;
}

/** The table for `airlock --help`. */
export function exitCodesText(): string {
  return ["Exit codes:", ...Object.values(exitCodes).map(({ code, meaning }) => `  ${code}  ${meaning}`)].join("\n");
}
