/** A simulated device's place on the PCI bus: command register, bus mastering, decoding, and the pins behind them. */
import type { AccessWidth } from "../../api/grants.ts";
import type { IrqPin } from "../../bus/device.ts";
import { ConfigFilter } from "../../bus/pci-config-filter.ts";
import { PciCommand, PciConfig, type PciIdentity } from "../../bus/pci.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";

/** What comes back from an address that nobody decodes. */
const allOnes = { 8: 0xff, 16: 0xffff, 32: 0xffff_ffff } as const;

export class SimPciFunction {
  readonly identity: PciIdentity;
  /** What a driver may be granted of its configuration space. */
  readonly config: RegisterSpace;
  #command: number = PciCommand.memorySpace | PciCommand.ioSpace;
  #wire: IrqPin | undefined;
  #intx = false;

  constructor(identity: PciIdentity) {
    this.identity = identity;
    this.config = new ConfigFilter({ read: (offset) => (offset === PciConfig.command ? this.#command : 0), write: (offset, _width, value) => {
      if (offset === PciConfig.command) this.#setCommand(value);
    } }, identity);
  }

  get busMaster(): boolean {
    return (this.#command & PciCommand.busMaster) !== 0;
  }

  set busMaster(on: boolean) {
    this.#setCommand(on ? this.#command | PciCommand.busMaster : this.#command & ~PciCommand.busMaster);
  }

  /** A BAR's registers as long as the function decodes them. */
  decoded(bar: number, space: RegisterSpace): RegisterSpace {
    const bit = this.identity.bars.find(({ index }) => index === bar)?.kind === "port" ? PciCommand.ioSpace : PciCommand.memorySpace;
    return {
      read: (offset: number, width: AccessWidth) => ((this.#command & bit) === 0 ? allOnes[width] : space.read(offset, width)),
      write: (offset: number, width: AccessWidth, value: number) => { if ((this.#command & bit) !== 0) space.write(offset, width, value); },
    };
  }

  /** The INTx pin, which the command register can hold low. */
  intx(wire: IrqPin): IrqPin {
    this.#wire = wire;
    return {
      set: (asserted) => {
        this.#intx = asserted;
        this.#drive();
      },
      pulse: () => undefined,
    };
  }

  /** A message: a write to memory, so only a bus master sends one. */
  message(line: IrqPin): IrqPin {
    return { set: () => undefined, pulse: () => { if (this.busMaster) line.pulse(); } };
  }

  #setCommand(value: number): void {
    this.#command = value;
    this.#drive();
  }

  #drive(): void {
    this.#wire?.set(this.#intx && (this.#command & PciCommand.interruptDisable) === 0);
  }
}
