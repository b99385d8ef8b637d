/** The EEPROM: its checksum and the permanent address. Source: manual 317453, sections 5.6 and 13.4.4. */
import { AirlockError, type DriverClock, type RegisterWindow } from "airlock/driver";
import { Eerd, Offset, eepromSum, eepromWords } from "./registers.ts";

/** Looks at a read in progress, and the time between two of them: a word takes the serial EEPROM about 50 us. */
const maxLooks = 100;
const lookMs = 0.1;

/** The permanent address as a 48-bit number, first byte highest. @throws AirlockError HardwareLost when the EEPROM is unusable */
export async function readPermanentMac(regs: RegisterWindow, clock: DriverClock): Promise<number> {
  let sum = 0;
  let mac = 0;
  for (let address = 0; address < eepromWords; address++) {
    const word = await readWord(regs, clock, address);
    sum = (sum + word) & 0xffff;
    // Words 0 to 2 are the address, the first byte on the wire in the lower half of word 0 (5.6.1).
    if (address < 3) mac = mac * 0x1_0000 + ((word & 0xff) << 8) + (word >> 8);
  }
  if (sum !== eepromSum) {
    const sums = `0x${sum.toString(16)}, not 0x${eepromSum.toString(16)}`;
    throw new AirlockError("HardwareLost", `the EEPROM of the e1000 has the checksum ${sums}: its contents are lost`);
  }
  return mac;
}

async function readWord(regs: RegisterWindow, clock: DriverClock, address: number): Promise<number> {
  regs.write32(Offset.eepromRead, (address << Eerd.addressShift) | Eerd.start);
  for (let look = 0; look < maxLooks; look++) {
    const value = regs.read32(Offset.eepromRead);
    if ((value & Eerd.done) !== 0) return value >>> Eerd.dataShift;
    await clock.sleep(lookMs);
  }
  throw new AirlockError("HardwareTimeout", `the EEPROM of the e1000 did not give word ${address} within ${maxLooks * lookMs} ms`);
}
