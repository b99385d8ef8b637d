/** Loads the native addon, or says what is missing. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AirlockError, errorText } from "../api/errors.ts";
import type { LineSettings, TapInterface, TapOptions } from "./system-types.ts";

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
  getLineSettings(fd: number): LineSettings;
  /** Number of bytes, 0 at the end, -1 when it would block. */
  read(fd: number, bytes: Uint8Array, offset: number): number;
  /** Number of bytes, -1 when it would block. */
  write(fd: number, bytes: Uint8Array, offset: number): number;
  readonly Poll: PollConstructor;
  /**
   * A descriptor of memory shared by mapping it, sealed so that its size stays (memfd_create). Zeroed; pages come when touched. Whole
   * pages, up to 1 GiB.
   */
  createSharedMemory(name: string, sizeBytes: number): number;
  /**
   * A live view of part of a shared file, for this thread; offset and size in whole pages. It lives until `unmapShared`, or as long as it
   * can be reached. Writing to one that was not made writable ends the process.
   */
  mapShared(fd: number, offset: number, sizeBytes: number, writable: boolean): ArrayBuffer;
  /** Detaches a buffer of `mapShared` and gives its addresses back; idempotent. */
  unmapShared(buffer: ArrayBuffer): void;
  /** Makes a number under which pages are given to sandboxes, to be revoked together. */
  createPageGrant(): number;
  /**
   * Lays pages of a shared file over a page-aligned part of a WebAssembly memory (mmap with MAP_FIXED). `memory`, a genuine
   * WebAssembly.Memory, is kept alive until the pages are revoked or the thread ends. Throws for a grant that is revoked, for a range
   * outside of the memory or over pages of a grant, and for a memory that could move when it grows.
   */
  layPages(grant: number, memory: { readonly buffer: ArrayBuffer | SharedArrayBuffer }, byteOffset: number, fd: number, offset: number, sizeBytes: number): void;
  /**
   * Takes all access to the first bytes of a WebAssembly memory away: compiled code that loads or stores there traps, everything else that
   * touches them ends the process. Whole pages. False where V8 does not make such faults traps; nothing is changed then.
   */
  guardStart(memory: { readonly buffer: ArrayBuffer | SharedArrayBuffer }, sizeBytes: number): boolean;
  /** A live view of pages of a shared file under a grant, for a sandbox without a WebAssembly memory. */
  mapGranted(grant: number, fd: number, offset: number, sizeBytes: number): ArrayBuffer;
  /** From any thread: lays anonymous zeroed pages over all that was given under the grant, and refuses it from then on. Returns how many ranges. */
  revokePages(grant: number): number;
  /** A TAP interface (TUNSETIFF): its descriptor, non-blocking, one frame per read or write, and the name it got. Needs CAP_NET_ADMIN. */
  openTap(options: TapOptions): { readonly fd: number; readonly name: string };
  /**
   * Reads frames on a thread of its own and hands them over in batches: one buffer with frames one after the other, and their
   * sizes. At most one batch is on its way at a time: the next is made when `resume` is called.
   */
  readonly TapReader: new (fd: number, callback: (batch: Uint8Array | undefined, sizes: Uint32Array, errno: number) => void) => TapInterface;
  /** Plugs in or pulls the cable that the interface's programs see (TUNSETCARRIER), in whatever network namespace it is. */
  setTapCarrier(fd: number, up: boolean): void;
  /** Writes frames of `bytes`, of these sizes, one after the other; how many the interface took before it would block. */
  writeFrames(fd: number, bytes: Uint8Array, sizes: Uint32Array): number;
  /** Ends the process at once, threads that cannot be interrupted included. */
  exitNow(code: number): never;
  /** Lets a thread of this process run only when no other wants to; false when there is no such thread any more. */
  setThreadIdle(threadId: number): boolean;
  /** The processor that the calling thread runs on right now. */
  processor(): number;
  /** Moves the calling thread to another processor, without binding it there; false when it may use no other. */
  leaveProcessor(): boolean;
}

let loaded: NativeAddon | undefined;

/** Set to "none", it runs a process as if the addon were not built: to see and to test what is left without it. */
const refusalVariable = "AIRLOCK_ADDON";

/** The addon, built or prebuilt. @throws AirlockError AddonMissing with the command that builds it */
export function loadAddon(directory: string = nativeDirectory()): NativeAddon {
  if (process.env[refusalVariable] === "none") throw new AirlockError("AddonMissing", `the native addon is not used, because ${refusalVariable} is "none"; unset it`, { directory });
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
