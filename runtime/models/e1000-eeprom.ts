/** The Microwire EEPROM of the 82540EM: its contents, EERD and the bits of EECD. Source: 317453, 5.2 to 5.6, 13.4.3, 13.4.4. */
import { Eecd, Eerd } from "./e1000-registers.ts";

/** Words of the EEPROM; the last is the checksum. */
export const eepromWords = 64;
/** What all words add up to (5.6.35). */
export const eepromSum = 0xbaba;

/** Microwire: a start bit, two bits of operation, six of address; a read answers with a 0 and 16 bits (93C46 data sheet). */
const commandBits = 9;
const opcodeRead = 0b110;

/** Words that identify the card (5.6, table 5-2). */
const subsystemIdWord = 0x0b;
const subsystemVendorWord = 0x0c;
const deviceIdWord = 0x0d;
const vendorIdWord = 0x0e;

export class E1000Eeprom {
  readonly #words = new Uint16Array(eepromWords);
  #control = 0;
  #read = 0;
  /** Bits shifted in since the chip was selected, from the start bit on. */
  #shifted = 0;
  #count = 0;
  /** The next bit of a read to be shown: 16 is the leading 0. */
  #outBit = -1;

  constructor(mac: Uint8Array) {
    for (let at = 0; at < 3; at++) this.#words[at] = mac[2 * at]! | (mac[2 * at + 1]! << 8);
    this.#words[subsystemIdWord] = 0x001e;
    this.#words[subsystemVendorWord] = 0x8086;
    this.#words[deviceIdWord] = 0x100e;
    this.#words[vendorIdWord] = 0x8086;
    const sum = this.#words.reduce((total, word) => total + word, 0);
    this.#words[eepromWords - 1] = (eepromSum - sum) & 0xffff;
  }

  reset(): void {
    this.#control = 0;
    this.#read = 0;
    this.#select();
  }

  /** EERD: a read is over when it was started; a word beyond the EEPROM reads as an unconnected pin. */
  writeRead(value: number): void {
    if ((value & Eerd.start) === 0) {
      this.#read = value & 0xff00;
      return;
    }
    const address = (value >>> Eerd.addressShift) & 0xff;
    this.#read = ((this.#word(address) << Eerd.dataShift) | (address << Eerd.addressShift) | Eerd.done) >>> 0;
  }

  readRead(): number {
    return this.#read;
  }

  /** EECD: access is granted as soon as it is requested, and the data line is driven by the chip while it answers. */
  readControl(): number {
    const granted = (this.#control & Eecd.request) !== 0 ? Eecd.grant : 0;
    const out = this.#outBit < 0 || this.#outBit > 16 || this.#shownBit() ? Eecd.dataOut : 0;
    return this.#control | granted | out | Eecd.present;
  }

  writeControl(value: number): void {
    const before = this.#control;
    this.#control = value & Eecd.writable;
    if ((value & Eecd.select) === 0) {
      this.#select();
      return;
    }
    const rises = (value & ~before & Eecd.clock) !== 0;
    if (rises) this.#clock((value & Eecd.dataIn) !== 0 ? 1 : 0);
  }

  #word(address: number): number {
    return address < eepromWords ? this.#words[address]! : 0xffff;
  }

  #select(): void {
    this.#shifted = 0;
    this.#count = 0;
    this.#outBit = -1;
  }

  /** A rising edge of the clock: a bit of the command in, then bits of the word out. Other commands than read do nothing. */
  #clock(bit: number): void {
    if (this.#count >= commandBits) {
      if (this.#outBit >= 0) this.#outBit--;
      // A longer read goes on with the next word (sequential read).
      if (this.#outBit < 0 && this.#isRead()) {
        this.#shifted = (this.#shifted & ~0x3f) | ((this.#shifted + 1) & 0x3f);
        this.#outBit = 15;
      }
      return;
    }
    if (this.#count === 0 && bit === 0) return;
    this.#shifted = (this.#shifted << 1) | bit;
    this.#count++;
    if (this.#count === commandBits) this.#outBit = this.#isRead() ? 16 : -1;
  }

  #isRead(): boolean {
    return this.#shifted >> 6 === opcodeRead;
  }

  #shownBit(): boolean {
    return this.#outBit < 16 && ((this.#word(this.#shifted & 0x3f) >> this.#outBit) & 1) !== 0;
  }
}
