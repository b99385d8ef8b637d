/** Register spaces: what a device decodes behind one port range or MMIO window, and the check every access passes. */
import { AirlockError } from "../api/errors.ts";
import type { AccessWidth, WindowGrant } from "../api/grants.ts";

/**
 * The device's side of one register window. Accesses arrive already checked: in bounds, aligned, of a width the window
 * decodes. Values are unsigned; wider accesses are little endian. Neither method may throw for any value.
 */
export interface RegisterSpace {
  read(offset: number, width: AccessWidth): number;
  write(offset: number, width: AccessWidth, value: number): void;
}

export type Direction = "read" | "write";

/**
 * Denies what a grant does not cover. `holder` and the capability's name are in the error; the device sees nothing.
 * @throws AirlockError CapabilityViolation with `reason` "rights", "width", "bounds", "alignment" or "value"
 */
export function checkAccess(holder: string, grant: WindowGrant, direction: Direction, offset: number, width: AccessWidth, value = 0): void {
  const reason = denial(grant, direction, offset, width, value);
  if (reason === undefined) return;
  const shown = typeof offset === "number" && Number.isFinite(offset) ? `0x${Math.trunc(offset).toString(16)}` : String(offset);
  throw new AirlockError(
    "CapabilityViolation",
    `${holder}: ${width}-bit ${direction} at offset ${shown} of window "${grant.name}" (${grant.sizeBytes} bytes, ${grant.rights}) is denied: ${reason}`,
    { holder, capability: grant.name, reason, offset: Number(offset), widthBits: Number(width), direction },
  );
}

/** Why this access is not covered by the grant; undefined when it is. */
export function denial(grant: WindowGrant, direction: Direction, offset: number, width: AccessWidth, value: number): string | undefined {
  if (grant.rights !== "readwrite" && grant.rights !== direction) return "rights";
  if (!grant.widths.includes(width)) return "width";
  if (!Number.isInteger(offset) || offset < 0 || offset + (width >> 3) > grant.sizeBytes) return "bounds";
  if ((offset & ((width >> 3) - 1)) !== 0) return "alignment";
  if (direction === "write" && !(Number.isInteger(value) && value >= 0 && value < 2 ** width)) return "value";
  return undefined;
}
