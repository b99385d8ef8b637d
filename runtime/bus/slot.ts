/** A device's slot: one that was pulled out of it answers with ones, as an empty bus does, takes no writes, and drives nothing. */
import type { AccessWidth } from "../api/grants.ts";
import type { RegisterSpace } from "./register-space.ts";

/** What is read where nobody answers. */
export const allOnes: Readonly<Record<AccessWidth, number>> = { 8: 0xff, 16: 0xffff, 32: 0xffff_ffff };

export class Slot {
  /** No device is in it. */
  isEmpty = false;

  /** The registers as they are reached through the slot. */
  space(registers: RegisterSpace): RegisterSpace {
    return {
      read: (offset, width) => (this.isEmpty ? allOnes[width] : registers.read(offset, width)),
      write: (offset, width, value) => { if (!this.isEmpty) registers.write(offset, width, value); },
    };
  }
}
