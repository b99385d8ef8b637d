/** VLAN tags that the 82540EM puts into frames and takes out of them. Source: 317453, 9.2 and 9.3; IEEE 802.1Q. */
import { vlanTagBytes } from "./e1000-registers.ts";

/** The card's registers, as far as they are about tags. */
export interface VlanMode {
  /** CTRL.VME: the card puts tags in and takes them out. */
  isOn(): boolean;
  /** VET: the type that marks a tag. */
  type(): number;
}

/** A tag follows the two addresses. */
const tagOffset = 12;

/** The tag's control information (priority, CFI, VLAN); undefined for a frame without a tag of this type. */
export function tagOf(frame: Uint8Array, type: number): number | undefined {
  if (frame.length < tagOffset + vlanTagBytes + 2) return undefined;
  return ((frame[tagOffset]! << 8) | frame[tagOffset + 1]!) === type ? (frame[tagOffset + 2]! << 8) | frame[tagOffset + 3]! : undefined;
}

/** Takes the tag out of the frame of `size` bytes at the start of `bytes`; returns its size then. */
export function removeTag(bytes: Uint8Array, size: number): number {
  bytes.copyWithin(tagOffset, tagOffset + vlanTagBytes, size);
  return size - vlanTagBytes;
}

/** Puts a tag into the frame of `size` bytes at `start`, behind which is room for it; returns its size then. */
export function insertTag(bytes: Uint8Array, start: number, size: number, type: number, control: number): number {
  const at = start + tagOffset;
  bytes.copyWithin(at + vlanTagBytes, at, start + size);
  bytes[at] = type >> 8;
  bytes[at + 1] = type & 0xff;
  bytes[at + 2] = control >> 8;
  bytes[at + 3] = control & 0xff;
  return size + vlanTagBytes;
}
