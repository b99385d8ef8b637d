/** A TAP interface of Linux: frames that programs send through it come in batches, frames for them are written in batches. */
import { closeSync } from "node:fs";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { NativeAddon } from "../../native/addon.ts";
import type { TapInterface, TapOptions } from "../../native/system-types.ts";

/** Frames of one call of the addon: it takes no more. */
const mostFrames = 4_096;

export interface TapEvents {
  /** Frames that programs sent. They are valid until `resume`, without which no more come. */
  sent(frames: Uint8Array[]): void;
  /** The interface broke, or somebody deleted it; it is of no more use. Once. */
  failed(error: AirlockError): void;
}

export class TapDevice {
  /** As the kernel knows it. */
  readonly name: string;
  readonly #addon: NativeAddon;
  readonly #fd: number;
  readonly #reader: TapInterface;
  #gathered = new Uint8Array(0);
  #carrier: boolean | undefined;
  #closed = false;

  /** @throws AirlockError Unsupported, AddressInUse */
  constructor(addon: NativeAddon, options: TapOptions, events: TapEvents) {
    this.#addon = addon;
    const { fd, name } = openTap(addon, options);
    this.#fd = fd;
    this.name = name;
    try {
      this.#reader = new addon.TapReader(fd, (batch, sizes, errno) => {
        if (this.#closed) return;
        if (batch !== undefined) return events.sent(cut(batch, sizes));
        const what = `the interface ${name} is gone (errno ${errno}); was it deleted?`;
        events.failed(new AirlockError("Closed", what, { interface: name, errno }));
      });
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** The frames of the last batch are not needed any more: asks for the next one. */
  resume(): void {
    if (!this.#closed) this.#reader.resume();
  }

  /** Hands frames to the kernel; returns how many it did not take: the interface is down, or out of memory. */
  write(frames: readonly Uint8Array[]): number {
    let taken = 0;
    for (let at = 0; at < frames.length && !this.#closed; at += mostFrames) taken += this.#write(frames.slice(at, at + mostFrames));
    return frames.length - taken;
  }

  /** Shows programs whether there is a link. Returns what hinders it, if something does: kernels before 5.0 can't. */
  setCarrier(up: boolean): string | undefined {
    if (this.#closed || this.#carrier === up) return undefined;
    this.#carrier = up;
    try {
      this.#addon.setTapCarrier(this.#fd, up);
      return undefined;
    } catch (error) {
      return errorText(error);
    }
  }

  /** The interface goes, unless an administrator made it to stay. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.close();
    closeSync(this.#fd);
  }

  #write(frames: readonly Uint8Array[]): number {
    const sizes = Uint32Array.from(frames, (frame) => frame.length);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (this.#gathered.length < total) this.#gathered = new Uint8Array(total);
    let at = 0;
    for (const frame of frames) {
      this.#gathered.set(frame, at);
      at += frame.length;
    }
    try {
      return this.#addon.writeFrames(this.#fd, this.#gathered, sizes);
    } catch {
      // EIO: the interface is down, and so nobody wants them. Anything else is seen by the reader too.
      return 0;
    }
  }
}

function cut(batch: Uint8Array, sizes: Uint32Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    frames.push(batch.subarray(at, at + size));
    at += size;
  }
  return frames;
}

function openTap(addon: NativeAddon, options: TapOptions): { readonly fd: number; readonly name: string } {
  try {
    return addon.openTap(options);
  } catch (cause) {
    throw refusal(options.name, cause);
  }
}

/** What an operator can do about it. */
function refusal(name: string, cause: unknown): AirlockError {
  const { code = "" } = cause as NodeJS.ErrnoException;
  const say = (kind: "Unsupported" | "AddressInUse", what: string, advice: string): AirlockError =>
    new AirlockError(kind, `${what}: ${advice}`, { interface: name, errno: code }, { cause });
  switch (code) {
    case "EPERM":
    case "EACCES":
      return say("Unsupported", `no right to make the interface ${name} (${code})`,
        `run with CAP_NET_ADMIN, or make it for this user first: ip tuntap add dev ${name} mode tap user NAME`);
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return say("Unsupported", `this system has no TAP interfaces (${code} for /dev/net/tun)`,
        "load the module with modprobe tun, or give the container the device /dev/net/tun");
    case "EBUSY":
      return say("AddressInUse", `the interface ${name} is in use by another process`, 'stop that, or choose another "interface"');
    case "EINVAL":
      return say("AddressInUse", `the interface ${name} is there already and is no TAP interface`, 'choose another "interface"');
    default:
      return say("Unsupported", `no TAP interface ${name} can be made here`, errorText(cause));
  }
}
