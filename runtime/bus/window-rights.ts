/** The check that every register access passes, on both sides of the border. */
import { AirlockError } from "../api/errors.ts";
import type { AccessWidth, WindowGrant } from "../api/grants.ts";

export type Direction = "read" | "write";

/**
 * One granted window, of one shape whoever described it: code that V8 compiled for one grant holds for the next.
 */
export class WindowRights {
  readonly name: string;
  readonly #grant: WindowGrant;
  readonly #sizeBytes: number;
  readonly #mayRead: boolean;
  readonly #mayWrite: boolean;
  /** The sum of the widths; each is a bit. */
  readonly #widths: number;

  constructor(grant: WindowGrant) {
    this.name = grant.name;
    this.#grant = grant;
    this.#sizeBytes = grant.sizeBytes;
    this.#mayRead = grant.rights !== "write";
    this.#mayWrite = grant.rights !== "read";
    this.#widths = grant.widths.reduce<number>((sum, width) => sum | width, 0);
  }

  /**
   * Denies what the grant does not cover. `holder` and the capability's name are in the error; the device sees nothing.
   * @throws AirlockError CapabilityViolation with `reason` "rights", "width", "bounds", "alignment" or "value"
   */
  check(holder: string, direction: Direction, offset: number, width: AccessWidth, value = 0): void {
    const reason = this.denial(direction, offset, width, value);
    if (reason !== undefined) throw this.#denied(holder, direction, offset, width, reason);
  }

  /** Why this access is not covered by the grant; undefined when it is. */
  denial(direction: Direction, offset: number, width: AccessWidth, value: number): string | undefined {
    if (!(direction === "write" ? this.#mayWrite : this.#mayRead)) return "rights";
    if ((width !== 8 && width !== 16 && width !== 32) || (this.#widths & width) === 0) return "width";
    if (!Number.isInteger(offset) || offset < 0 || offset + (width >> 3) > this.#sizeBytes) return "bounds";
    if ((offset & ((width >> 3) - 1)) !== 0) return "alignment";
    if (direction === "write" && !(Number.isInteger(value) && value >= 0 && value < 2 ** width)) return "value";
    return undefined;
  }

  #denied(holder: string, direction: Direction, offset: number, width: number, reason: string): AirlockError {
    const { name, sizeBytes, rights } = this.#grant;
    const shown = typeof offset === "number" && Number.isFinite(offset) ? `0x${Math.trunc(offset).toString(16)}` : String(offset);
    return new AirlockError(
      "CapabilityViolation",
      `${holder}: ${width}-bit ${direction} at offset ${shown} of window "${name}" (${sizeBytes} bytes, ${rights}) is denied: ${reason}`,
      { holder, capability: name, reason, offset: Number(offset), widthBits: Number(width), direction },
    );
  }
}
