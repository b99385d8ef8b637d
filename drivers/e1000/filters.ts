/** Address filters: the own address and the multicast table. Source: manual 317453, sections 3.2.1, 13.5.1 to 13.5.3. */
import type { RegisterWindow } from "airlock/driver";
import { Offset, addressEntries, addressValid, multicastWords } from "./registers.ts";

const macBytes = 6;
const byteRange = 256;

/** Writes the address, a 48-bit number with the first byte highest, into the first entry; the others are not used. */
export function writeAddress(regs: RegisterWindow, mac: number): void {
  const bytes = Array.from({ length: macBytes }, (_, index) => Math.floor(mac / byteRange ** (macBytes - 1 - index)) % byteRange);
  // An entry that is being changed must not match: its upper half goes first and comes last.
  regs.write32(Offset.addressHigh, 0);
  regs.write32(Offset.addressLow, (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0);
  regs.write32(Offset.addressHigh, (bytes[4]! | (bytes[5]! << 8) | addressValid) >>> 0);
}

/** A reset leaves the tables as they were: empties all but the first entry. */
export function clearAddresses(regs: RegisterWindow): void {
  for (let entry = 1; entry < addressEntries; entry++) {
    regs.write32(Offset.addressHigh + entry * 8, 0);
    regs.write32(Offset.addressLow + entry * 8, 0);
  }
}

/** The table for these addresses, six bytes each; `table` has a bit for each of 4096 hashes (13.5.1, RCTL.MO 0: bits 47-36). */
export function hashMulticast(addresses: Uint8Array): Uint32Array {
  const table = new Uint32Array(multicastWords);
  for (let at = 0; at + macBytes <= addresses.length; at += macBytes) {
    const hash = (addresses[at + 4]! >> 4) | (addresses[at + 5]! << 4);
    table[hash >> 5] = table[hash >> 5]! | (1 << (hash & 0x1f));
  }
  return table;
}

/** Writes those words of the table that differ from `before`; all of them when there is none. */
export function writeMulticast(regs: RegisterWindow, table: Uint32Array, before: Uint32Array | undefined): void {
  for (let word = 0; word < multicastWords; word++) {
    if (before?.[word] !== table[word]) regs.write32(Offset.multicastTable + word * 4, table[word]!);
  }
}
