/** Loads the native addon, or says what is missing. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AirlockError, errorText } from "../api/errors.ts";
import type { SerialOptions } from "../classes/serial/port.ts";

/** A pseudo-terminal pair. The slave stays open on our side, or the master would hang up with the last client. */
export interface PtyPair {
  readonly masterFd: number;
  readonly slaveFd: number;
  /** What clients open: /dev/pts/7. */
  readonly slavePath: string;
}

/** Watches one descriptor on the event loop of this thread. */
export interface Poll {
  /** From now on reports these events (a sum of `Poll.readable` and `Poll.writable`); 0 stops. */
  watch(events: number): void;
  /** Stops for good, to be called before the descriptor is closed; idempotent. */
  close(): void;
}

export interface PollConstructor {
  new (fd: number, callback: (events: number) => void): Poll;
  readonly readable: number;
  readonly writable: number;
}

/** The addon's calls; each is documented at its C++ function in native/src. System errors are Errors with `code` "EACCES". */
export interface NativeAddon {
  /** The slave is raw and has this speed; the master is non-blocking. */
  openPty(baudRate: number, stopBits: 1 | 2): PtyPair;
  /** What a client set with tcsetattr. Linux keeps 8 data bits and no parity on a PTY, whatever was asked for. */
  getLineSettings(fd: number): Required<SerialOptions>;
  /** Number of bytes, 0 at the end, -1 when it would block. */
  read(fd: number, bytes: Uint8Array, offset: number): number;
  /** Number of bytes, -1 when it would block. */
  write(fd: number, bytes: Uint8Array, offset: number): number;
  readonly Poll: PollConstructor;
  /** Ends the process at once, threads that cannot be interrupted included. */
  exitNow(code: number): never;
  /** Lets a thread of this process run only when no other wants to; false when there is no such thread any more. */
  setThreadIdle(threadId: number): boolean;
}

let loaded: NativeAddon | undefined;

/** The addon, built or prebuilt. @throws AirlockError AddonMissing with the command that builds it */
export function loadAddon(directory: string = nativeDirectory()): NativeAddon {
  if (loaded !== undefined && directory === nativeDirectory()) return loaded;
  try {
    const load = createRequire(import.meta.url)("node-gyp-build") as (directory: string) => NativeAddon;
    const addon = load(directory);
    if (directory === nativeDirectory()) loaded = addon;
    return addon;
  } catch (cause) {
    const reason = errorText(cause).split("\n", 1)[0]!;
    throw new AirlockError(
      "AddonMissing",
      `the native addon is not built (${reason}); run "npm run build", which needs the packages g++, make and python3`,
      { directory }, { cause },
    );
  }
}

/** native/ of this project, from the sources as well as from dist/. */
function nativeDirectory(): string {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
  const fromSource = path.join(root, "native");
  return existsSync(path.join(fromSource, "binding.gyp")) ? fromSource : path.join(root, "..", "native");
}
