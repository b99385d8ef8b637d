/** The closed set of errors Airlock throws. Each has a stable code, structured fields, and advice on what to do. */

/** Code -> what it means and what to do. runtime/api/README.md documents the same set; a test compares both ways. */
export const errorCodes = {
  CapabilityViolation: "an access outside the granted base, size, width, alignment or rights",
  CapabilityRevoked: "an access through a capability that has been revoked",
  ProtocolViolation: "a message that breaks the class contract: unknown tag, second answer, malformed layout",
  InvalidArgument: "an argument outside the range its contract states",
  MayHaveExecuted: "the driver died during an operation that must not be repeated; it may have taken effect",
  DriverUnavailable: "the driver is held or stopped; the supervisor will not restart it by itself",
  HardwareLost: "the platform or the device went away",
  DeviceError: "the device ended a command with an error; `status` names it",
  HardwareTimeout: "the platform did not answer a register access or a control step within its limit",
  QueueFull: "a bounded queue has no room; the caller has to slow down",
  Closed: "the object was closed or disposed before or during the call",
  MachineFileInvalid: "the machine file has errors; each is listed with file, line and column",
  ManifestInvalid: "a driver package's manifest has errors or asks for what it does not need",
  BundleInvalid: "a driver package's code cannot be bundled or imports what drivers may not",
  PlatformUnavailable: "the platform the machine file names cannot be started here",
  AddonMissing: "the native addon is not built; what needs it is not available",
  StateUnusable: "the state directory cannot be written",
  AddressInUse: "a socket, port or path is taken by another process",
  NotFound: "no driver, device, command or file of that name",
  Unsupported: "this build or platform cannot do that",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** Structured facts of one error: who, what, where. Values are plain data so that an error can cross a thread. */
export type ErrorFields = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Every error Airlock throws. `name` and `code` are the same stable word; `fields` carry what a program needs to react;
 * `message` is one line that says what, where and what to do; `cause` is kept.
 */
export class AirlockError extends Error {
  readonly code: ErrorCode;
  readonly fields: ErrorFields;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.name = code;
    this.code = code;
    this.fields = fields;
  }
}

/** Whether `error` is an AirlockError, optionally one with this code. */
export function isAirlockError(error: unknown, code?: ErrorCode): error is AirlockError {
  return error instanceof AirlockError && (code === undefined || error.code === code);
}

/** The one-line text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
