/** A 93C46 on its four wires: 64 words of 16 bits behind Microwire. Source: National NM93C46 data sheet. */

export const eepromWords = 64;

/** A start bit, two bits of operation, six of address; a read answers with a 0 and 16 bits. */
const commandBits = 9;
const opcodeRead = 0b110;
/** The place of the leading 0 before a word's bits 15 to 0. */
const leadingZero = 16;

export class Eeprom93c46 {
  readonly #words: Uint16Array;
  #clockWire = false;
  /** Bits shifted in since the chip was selected, from the start bit on. */
  #shifted = 0;
  #count = 0;
  /** The next bit of a read to be shown; below 0: the chip does not drive its output. */
  #outBit = -1;

  constructor(words: Uint16Array) {
    this.#words = words;
  }

  /** A word as an unconnected pin reads it beyond the end. */
  word(address: number): number {
    return address < eepromWords ? this.#words[address]! : 0xffff;
  }

  /** Not selected, its clock low. */
  reset(): void {
    this.#clockWire = false;
    this.#select();
  }

  /** What the wires are now. */
  drive(selected: boolean, clock: boolean, dataIn: boolean): void {
    const rises = clock && !this.#clockWire;
    this.#clockWire = clock;
    if (!selected) this.#select();
    else if (rises) this.#rise(dataIn ? 1 : 0);
  }

  /** DO, which a pull-up holds high while the chip does not drive it. */
  get dataOut(): boolean {
    if (this.#outBit < 0 || this.#outBit > leadingZero) return true;
    return this.#outBit < leadingZero && ((this.word(this.#shifted & (eepromWords - 1)) >> this.#outBit) & 1) !== 0;
  }

  #select(): void {
    this.#shifted = 0;
    this.#count = 0;
    this.#outBit = -1;
  }

  /** A rising edge of the clock: a bit of the command in, then bits of the word out. Other commands than read do nothing. */
  #rise(bit: number): void {
    if (this.#count >= commandBits) {
      if (this.#outBit >= 0) this.#outBit--;
      // A longer read goes on with the next word (sequential read).
      if (this.#outBit < 0 && this.#isRead()) {
        this.#shifted = (this.#shifted & ~(eepromWords - 1)) | ((this.#shifted + 1) & (eepromWords - 1));
        this.#outBit = leadingZero - 1;
      }
      return;
    }
    if (this.#count === 0 && bit === 0) return;
    this.#shifted = (this.#shifted << 1) | bit;
    this.#count++;
    if (this.#count === commandBits) this.#outBit = this.#isRead() ? leadingZero : -1;
  }

  #isRead(): boolean {
    return this.#shifted >> 6 === opcodeRead;
  }
}
