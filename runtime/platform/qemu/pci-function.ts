/** One PCI device of QEMU, run by the platform: base addresses, command register, messages, reset. The driver gets what is left. */
import { AirlockError } from "../../api/errors.ts";
import { messagesPerFunction } from "../../bus/describe-pci.ts";
import type { DeviceDescription, DeviceWindow } from "../../bus/device.ts";
import { ConfigFilter, type PciConfigAccess } from "../../bus/pci-config-filter.ts";
import { PciCommand, PciConfig, type PciIdentity } from "../../bus/pci.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";
import { slotOf } from "./describe.ts";
import { messageIova } from "./memory-map.ts";
import { MessagePage, messageToken } from "./message-page.ts";
import {
  ExpressCapability, MsixCapability, PciCapability, type PortAccess, configAccess, decodeOnly, identityDifferences, probeFunction,
} from "./pci-probe.ts";
import type { RestStep } from "./quirks.ts";
import type { TableMemory } from "./table-memory.ts";
import type { MemoryPort } from "./vtd-unit.ts";

/** An MSI-X table entry (PCI 3.0, 6.8.2): address, upper address, data, control with the mask bit. */
const msixEntryBytes = 16;

/** The PCI Express capability (PCI Express 2.0, 7.8); none is longer. */
const longestCapabilityBytes = 60;

export class QemuPciFunction {
  readonly device: string;
  readonly slot: number;
  readonly identity: PciIdentity;
  /** What a driver may be granted of its configuration space. */
  readonly config: RegisterSpace;
  /** The page that messages go to, and what has arrived there; undefined for a function without MSI-X. */
  readonly messagePage: number | undefined;
  readonly messages: MessagePage | undefined;
  readonly #registers: PortAccess & MemoryPort;
  readonly #config: PciConfigAccess;
  readonly #capabilities: ReadonlyMap<number, number>;
  readonly #description: DeviceDescription;
  readonly #rests: readonly RestStep[];

  /**
   * Finds the function in its slot and puts it where the description says, without bus mastering, its messages on.
   * @throws AirlockError PlatformUnavailable when it is another than described
   */
  constructor(
    description: DeviceDescription, connection: PortAccess & MemoryPort, pages: TableMemory, rests: readonly RestStep[], actual: Partial<PciIdentity>,
  ) {
    const identity = description.pci?.identity;
    this.device = description.name;
    this.slot = slotOf(description);
    this.#description = description;
    this.#rests = rests;
    this.#registers = connection;
    this.#config = configAccess(connection, this.slot);
    const found = probeFunction(this.#config);
    if (found === undefined || identity === undefined) throw this.#unavailable(`is not on the bus at ${String(description.pci?.address)}`);
    const differences = identityDifferences(found.identity, { ...identity, ...actual });
    if (differences.length > 0) throw this.#unavailable(`is another than expected: ${differences.join("; ")}; use another QEMU`);
    this.identity = identity;
    this.#capabilities = found.capabilities;
    this.#checkRegisters();
    this.config = new ConfigFilter(this.#config, identity);
    if (identity.msix !== undefined) {
      this.messagePage = pages.allocate();
      this.messages = new MessagePage(pages.ram, this.messagePage, this.#vectors);
    }
    this.#place();
  }

  setBusMaster(on: boolean): void {
    const command = this.#config.read(PciConfig.command, 16);
    this.#config.write(PciConfig.command, 16, on ? command | PciCommand.busMaster : command & ~PciCommand.busMaster);
    // When this returns the device has seen it: no DMA of it begins any more.
    this.#config.read(PciConfig.command, 16);
  }

  /** A function-level reset where it has it, else what brings it to rest. Everything is put back where it was, bus mastering off. */
  reset(): void {
    const express = this.#capabilities.get(PciCapability.express);
    if (this.identity.functionReset && express !== undefined) {
      const control = express + ExpressCapability.deviceControl;
      this.#config.write(control, 16, this.#config.read(control, 16) | ExpressCapability.reset);
    }
    this.#place();
    for (const { window, offset, width = 32, value } of this.#rests) {
      const { kind, base } = this.#window(window);
      if (kind === "port") this.#registers.writePort(base + offset, width, value);
      else this.#registers.writeMemory(base + offset, width, value);
    }
    // When this returns the device has seen it all.
    this.#config.read(PciConfig.command, 16);
    this.messages?.take();
  }

  get #vectors(): number {
    return Math.min(this.identity.msix?.vectors ?? 0, messagesPerFunction);
  }

  /** A register that may be a capability's would let a driver do what the filter is there to prevent. */
  #checkRegisters(): void {
    for (const { offset, sizeBytes } of this.identity.deviceRegisters ?? []) {
      for (const at of this.#capabilities.values()) {
        if (offset + sizeBytes > at && offset < at + longestCapabilityBytes) throw this.#unavailable(`has a capability at 0x${at.toString(16)}, too near to its register at 0x${offset.toString(16)}`);
      }
    }
  }

  /** Base addresses, decoding, messages. Bus mastering is off. */
  #place(): void {
    this.#config.write(PciConfig.command, 16, 0);
    for (const bar of this.identity.bars) {
      this.#config.write(PciConfig.bar0 + bar.index * 4, 32, this.#base(bar.index));
      if (bar.is64Bit === true) this.#config.write(PciConfig.bar0 + bar.index * 4 + 4, 32, 0);
    }
    this.#config.write(PciConfig.command, 16, decodeOnly);
    const { msix } = this.identity;
    const capability = this.#capabilities.get(PciCapability.msix);
    if (msix === undefined || capability === undefined) return;
    const table = this.#base(msix.bar) + msix.tableOffset;
    // Vectors that are nobody's line stay masked, as they are after a reset.
    for (let vector = 0; vector < this.#vectors; vector++) {
      const entry = [messageIova + MessagePage.offsetOf(vector), 0, messageToken, 0];
      for (const [index, word] of entry.entries()) this.#registers.writeMemory(table + vector * msixEntryBytes + index * 4, 32, word);
    }
    this.#config.write(capability + MsixCapability.control, 16, MsixCapability.enable);
  }

  #base(bar: number): number {
    return this.#window(`bar${bar}`).base;
  }

  /** Every BAR of the devices here has a window; one that held nothing but tables would have none, and no device file is like that. */
  #window(name: string): DeviceWindow {
    const window = this.#description.windows[name];
    if (window === undefined) throw this.#unavailable(`has no window "${name}"`);
    return window;
  }

  #unavailable(what: string): AirlockError {
    return new AirlockError("PlatformUnavailable", `device "${this.device}" ${what}`, { device: this.device });
  }
}
