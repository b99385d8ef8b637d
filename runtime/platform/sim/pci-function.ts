/** A simulated device's place on the PCI bus: command register, bus mastering, decoding, and the pins behind them. */
import type { AccessWidth } from "../../api/grants.ts";
import type { IrqPin } from "../../bus/device.ts";
import { ConfigFilter } from "../../bus/pci-config-filter.ts";
import { PciCommand, PciConfig, type PciIdentity, pciHeaderBytes } from "../../bus/pci.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";
import { Slot, allOnes } from "../../bus/slot.ts";

/** The status register's bit for an asserted INTx (PCI 3.0, 6.2.3). */
const statusInterrupt = 1 << 3;

/** Firmware lets functions decode what it has placed. */
const commandAtPowerOn = PciCommand.memorySpace | PciCommand.ioSpace;

export class SimPciFunction {
  readonly identity: PciIdentity;
  /** What a driver may be granted of its configuration space. */
  readonly config: RegisterSpace;
  readonly #slot = new Slot();
  #command: number = commandAtPowerOn;
  #wire: IrqPin | undefined;
  #intx = false;
  /** What the model has in configuration space besides the header. */
  #registers: RegisterSpace | undefined;

  constructor(identity: PciIdentity) {
    this.identity = identity;
    this.config = this.#slot.space(new ConfigFilter({
      read: (offset, width) => this.#readConfig(offset, width),
      write: (offset, width, value) => {
        if (offset === PciConfig.command) this.#setCommand(value);
        else if (offset >= pciHeaderBytes) this.#registers?.write(offset, width, value);
      },
    }, identity));
  }

  /** A function that is pulled out masters no bus and drives no pin; put back in it is as after power-on. */
  get isPluggedIn(): boolean {
    return !this.#slot.isEmpty;
  }

  set isPluggedIn(isIn: boolean) {
    this.#slot.isEmpty = !isIn;
    this.#setCommand(commandAtPowerOn);
  }

  /** Gives it the registers of its model beyond the header: only those that its identity names are ever reached. */
  addRegisters(registers: RegisterSpace): void {
    this.#registers = registers;
  }

  get busMaster(): boolean {
    return (this.#command & PciCommand.busMaster) !== 0;
  }

  set busMaster(on: boolean) {
    if (this.isPluggedIn) this.#setCommand(on ? this.#command | PciCommand.busMaster : this.#command & ~PciCommand.busMaster);
  }

  /** A BAR's registers as long as the function decodes them. */
  decoded(bar: number, space: RegisterSpace): RegisterSpace {
    const bit = this.identity.bars.find(({ index }) => index === bar)?.kind === "port" ? PciCommand.ioSpace : PciCommand.memorySpace;
    return this.#slot.space({
      read: (offset: number, width: AccessWidth) => ((this.#command & bit) === 0 ? allOnes[width] : space.read(offset, width)),
      write: (offset: number, width: AccessWidth, value: number) => { if ((this.#command & bit) !== 0) space.write(offset, width, value); },
    });
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

  #readConfig(offset: number, width: AccessWidth): number {
    if (offset === PciConfig.command) return this.#command;
    if (offset === PciConfig.status) return this.#intx ? statusInterrupt : 0;
    return offset >= pciHeaderBytes ? this.#registers?.read(offset, width) ?? 0 : 0;
  }

  #setCommand(value: number): void {
    this.#command = value;
    this.#drive();
  }

  #drive(): void {
    this.#wire?.set(this.isPluggedIn && this.#intx && (this.#command & PciCommand.interruptDisable) === 0);
  }
}
