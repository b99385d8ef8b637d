/** Register spaces: what a device decodes behind one port range or MMIO window. */
import type { AccessWidth } from "../api/grants.ts";

/**
 * The device's side of one register window. Accesses arrive already checked: in bounds, aligned, of a width the window
 * decodes. Values are unsigned; wider accesses are little endian. Neither method may throw for any value.
 */
export interface RegisterSpace {
  read(offset: number, width: AccessWidth): number;
  write(offset: number, width: AccessWidth, value: number): void;
}
