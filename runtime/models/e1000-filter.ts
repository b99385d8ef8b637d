/** Which frames the 82540EM takes off the wire: unicast, multicast, broadcast and VLAN filters. Source: 317453, 3.2.1, 13.5. */
import { Rah, Rctl, Reg, mtaWords, receiveAddresses, vftaWords } from "./e1000-registers.ts";

/** Passed by address, passed by hash alone (the descriptor's PIF bit), or not at all. */
export type FilterResult = "exact" | "inexact" | "no";

/** MO: by how much the last two bytes of the address are shifted to make the 12 bits of the hash (13.4.22, MO). */
const hashShifts = [4, 3, 2, 0] as const;

export class AddressFilter {
  /** Pairs of RAL and RAH. */
  readonly #addresses = new Uint32Array(receiveAddresses * 2);
  readonly #multicast = new Uint32Array(mtaWords);
  readonly #vlans = new Uint32Array(vftaWords);
  /** Valid addresses, as the two words a frame's are compared with; made anew when an address is written. */
  #low: number[] = [];
  #high: number[] = [];

  /** A register of this file by offset; undefined when it is none. */
  read(offset: number): number | undefined {
    return this.#table(offset)?.[this.#index(offset)];
  }

  /** False when the offset is none of this file's. */
  write(offset: number, value: number): boolean {
    const table = this.#table(offset);
    if (table === undefined) return false;
    table[this.#index(offset)] = value;
    if (table === this.#addresses) this.#collect();
    return true;
  }

  /** The first address is the EEPROM's, all others are invalid; tables keep what they hold (13.5.1). */
  reset(mac: Uint8Array): void {
    this.#addresses.fill(0);
    this.#addresses[0] = word(mac, 0);
    this.#addresses[1] = (Rah.valid | mac[4]! | (mac[5]! << 8)) >>> 0;
    this.#collect();
  }

  /** Power-on: all tables empty. */
  clear(): void {
    this.#multicast.fill(0);
    this.#vlans.fill(0);
  }

  /** `frame` holds an Ethernet header at least. */
  passes(frame: Uint8Array, control: number): FilterResult {
    const first = frame[0]!;
    if ((first & 1) === 0) {
      if ((control & Rctl.unicastPromiscuous) !== 0 || this.#isMine(frame)) return "exact";
      return "no";
    }
    if (isBroadcast(frame)) return (control & (Rctl.broadcast | Rctl.multicastPromiscuous)) !== 0 || this.#isMine(frame) ? "exact" : "no";
    if ((control & Rctl.multicastPromiscuous) !== 0 || this.#isMine(frame)) return "exact";
    const shift = hashShifts[(control >>> Rctl.hashShift) & 3]!;
    const hash = ((frame[4]! | (frame[5]! << 8)) >> shift) & 0xfff;
    return (this.#multicast[hash >> 5]! & (1 << (hash & 31))) !== 0 ? "inexact" : "no";
  }

  /** Whether frames of this VLAN are taken (13.5.5). */
  passesVlan(id: number): boolean {
    return (this.#vlans[(id >> 5) & (vftaWords - 1)]! & (1 << (id & 31))) !== 0;
  }

  #isMine(frame: Uint8Array): boolean {
    const low = word(frame, 0);
    const high = frame[4]! | (frame[5]! << 8);
    for (let at = 0; at < this.#low.length; at++) if (this.#low[at] === low && this.#high[at] === high) return true;
    return false;
  }

  /** Entries that compare with the source address instead (AS 01) match no destination. */
  #collect(): void {
    this.#low = [];
    this.#high = [];
    for (let at = 0; at < receiveAddresses; at++) {
      const high = this.#addresses[2 * at + 1]!;
      if ((high & Rah.valid) === 0 || (high & 0x3_0000) !== 0) continue;
      this.#low.push(this.#addresses[2 * at]!);
      this.#high.push(high & 0xffff);
    }
  }

  #table(offset: number): Uint32Array | undefined {
    if (offset >= Reg.MTA && offset < Reg.MTA + mtaWords * 4) return this.#multicast;
    if (offset >= Reg.RA && offset < Reg.RA + receiveAddresses * 8) return this.#addresses;
    if (offset >= Reg.VFTA && offset < Reg.VFTA + vftaWords * 4) return this.#vlans;
    return undefined;
  }

  /** All three tables start at multiples of their size. */
  #index(offset: number): number {
    const base = offset >= Reg.VFTA ? Reg.VFTA : offset >= Reg.RA ? Reg.RA : Reg.MTA;
    return (offset - base) >> 2;
  }
}

export function isBroadcast(frame: Uint8Array): boolean {
  return (frame[0]! & frame[1]! & frame[2]! & frame[3]! & frame[4]! & frame[5]!) === 0xff;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
