/** The link: the PHY negotiates by itself, the MAC follows. Source: manual 317453, sections 8.6, 13.4.2, 13.4.12. */
import { AirlockError, type DriverClock, type RegisterWindow } from "airlock/driver";
import { Mdic, Offset, PhyControl, Status, allOnes, phyControl, speeds } from "./registers.ts";

export interface LinkState {
  readonly up: boolean;
  readonly speedMbps: number;
  readonly fullDuplex: boolean;
}

/** Looks at a PHY access in progress: 64 bits at 2.5 MHz take 26 us. */
const maxLooks = 100;
const lookMs = 0.1;

/** @throws AirlockError HardwareLost */
export function readStatus(regs: RegisterWindow): number {
  const status = regs.read32(Offset.status);
  if (status === allOnes) throw new AirlockError("HardwareLost", "the e1000 is gone: its registers read as all ones");
  return status;
}

/** @throws AirlockError HardwareLost */
export function readLink(regs: RegisterWindow): LinkState {
  const status = readStatus(regs);
  const up = (status & Status.linkUp) !== 0;
  return { up, speedMbps: up ? speeds[(status >>> Status.speedShift) & 3]! : 0, fullDuplex: up && (status & Status.fullDuplex) !== 0 };
}

/** Has the PHY negotiate. One that does is left alone: starting again would take the link down for seconds. */
export async function startNegotiation(regs: RegisterWindow, clock: DriverClock): Promise<void> {
  const control = await accessPhy(regs, clock, Mdic.read);
  const unwanted = PhyControl.isolate | PhyControl.powerDown | PhyControl.loopback;
  if ((control & PhyControl.negotiate) !== 0 && (control & unwanted) === 0) return;
  await accessPhy(regs, clock, Mdic.write | PhyControl.negotiate | PhyControl.restartNegotiation);
}

/** Reads or writes the PHY's control register; returns its data. */
async function accessPhy(regs: RegisterWindow, clock: DriverClock, access: number): Promise<number> {
  regs.write32(Offset.mdi, access | Mdic.phy | (phyControl << Mdic.registerShift));
  for (let look = 0; look < maxLooks; look++) {
    const value = regs.read32(Offset.mdi);
    if ((value & Mdic.ready) !== 0) {
      if ((value & Mdic.error) !== 0) throw new Error("the PHY of the e1000 does not answer");
      return value & 0xffff;
    }
    await clock.sleep(lookMs);
  }
  throw new AirlockError("HardwareTimeout", `the PHY of the e1000 did not answer within ${maxLooks * lookMs} ms`);
}
