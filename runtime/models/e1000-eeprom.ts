/** The EEPROM of the 82540EM: its contents, EERD and the bits of EECD. Source: 317453, 5.2 to 5.6, 13.4.3, 13.4.4. */
import { Eecd, Eerd } from "./e1000-registers.ts";
import { Eeprom93c46, eepromWords } from "./eeprom-93c46.ts";

/** What all words add up to (5.6.35); the last is the checksum. */
export const eepromSum = 0xbaba;

/** Words that identify the card (5.6, table 5-2). */
const subsystemIdWord = 0x0b;
const subsystemVendorWord = 0x0c;
const deviceIdWord = 0x0d;
const vendorIdWord = 0x0e;

export class E1000Eeprom {
  readonly #chip: Eeprom93c46;
  #control = 0;
  #read = 0;

  constructor(mac: Uint8Array) {
    const words = new Uint16Array(eepromWords);
    for (let at = 0; at < 3; at++) words[at] = mac[2 * at]! | (mac[2 * at + 1]! << 8);
    words[subsystemIdWord] = 0x001e;
    words[subsystemVendorWord] = 0x8086;
    words[deviceIdWord] = 0x100e;
    words[vendorIdWord] = 0x8086;
    const sum = words.reduce((total, word) => total + word, 0);
    words[eepromWords - 1] = (eepromSum - sum) & 0xffff;
    this.#chip = new Eeprom93c46(words);
  }

  reset(): void {
    this.#control = 0;
    this.#read = 0;
    this.#chip.reset();
  }

  /** EERD: a read is over when it was started. */
  writeRead(value: number): void {
    if ((value & Eerd.start) === 0) {
      this.#read = value & 0xff00;
      return;
    }
    const address = (value >>> Eerd.addressShift) & 0xff;
    this.#read = ((this.#chip.word(address) << Eerd.dataShift) | (address << Eerd.addressShift) | Eerd.done) >>> 0;
  }

  readRead(): number {
    return this.#read;
  }

  /** EECD: access is granted as soon as it is requested, and the data line is driven by the chip while it answers. */
  readControl(): number {
    const granted = (this.#control & Eecd.request) !== 0 ? Eecd.grant : 0;
    return this.#control | granted | (this.#chip.dataOut ? Eecd.dataOut : 0) | Eecd.present;
  }

  writeControl(value: number): void {
    this.#control = value & Eecd.writable;
    this.#chip.drive((value & Eecd.select) !== 0, (value & Eecd.clock) !== 0, (value & Eecd.dataIn) !== 0);
  }
}
