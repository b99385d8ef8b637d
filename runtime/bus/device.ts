/** Devices as a platform offers them: a description for the control plane and a live side for the hardware's thread. */
import type { Clock } from "../api/clock.ts";
import type { AccessWidth } from "../api/grants.ts";
import type { NetworkPeer } from "./network-peer.ts";
import type { PciAddress, PciIdentity } from "./pci.ts";
import type { RegisterSpace } from "./register-space.ts";

/** `config` is a PCI function's configuration space, filtered. */
export type WindowKind = "port" | "mmio" | "config";

/** One port range or MMIO window of a device. Base and size, never inclusive ends. */
export interface DeviceWindow {
  readonly kind: WindowKind;
  readonly base: number;
  readonly sizeBytes: number;
  readonly widths: readonly AccessWidth[];
}

/** A device of the machine file's `devices`, or one a platform found: plain data. */
export interface DeviceDescription {
  readonly name: string;
  /** What it is compatible with, most specific first. */
  readonly compatible: readonly string[];
  readonly windows: Readonly<Record<string, DeviceWindow>>;
  /** What it is on the PCI bus; undefined for a device that is not on one. */
  readonly pci?: PciPresence;
  /** Line numbers by resource name. */
  readonly irqs: Readonly<Record<string, number>>;
  /** Settings of the device itself: crystal, what is plugged into its connector. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
}

/** Where a PCI device is and who it says it is. */
export interface PciPresence {
  readonly address: PciAddress;
  /** As the machine file expects it or the platform found it. */
  readonly identity?: PciIdentity;
}

/** A device's interrupt output. */
export interface IrqPin {
  /** Level: high while the device has a cause it wants serviced. */
  set(asserted: boolean): void;
  /** Edge: one message, as MSI and MSI-X send; kept until it is delivered. */
  pulse(): void;
}

/** A device's way to memory, through the IOMMU domain of whoever drives it. Addresses are the domain's. */
export interface DmaPort {
  /** Fills `into`. False when any of it is not mapped for reading: nothing was read, and the IOMMU has recorded the fault. */
  read(iova: number, into: Uint8Array): boolean;
  /** Writes `from`. False when any of it is not mapped for writing: nothing was written, and the IOMMU has recorded the fault. */
  write(iova: number, from: Uint8Array): boolean;
}

/** What surrounds a simulated device: time, wires, and nothing else. */
export interface ModelEnvironment {
  readonly clock: Clock;
  /** The pin of that resource name; a name the description lacks gives a pin that is not connected. */
  irq(name: string): IrqPin;
  /** Civil time in milliseconds since the Unix epoch at clock time 0, for devices with a calendar. */
  readonly epochMs: number;
  /** What is plugged into the device's serial connector. */
  readonly serial: SerialPeer;
  /** What is at the other end of the device's network cable. */
  readonly network: NetworkPeer;
  /** The device's way to memory. */
  readonly dma: DmaPort;
  /** The device drives the machine's reset, as a watchdog does that ran out. The platform tells of it and resets nothing. */
  requestReset(): void;
  /** Folder of the machine file, for models that keep their contents in a file. */
  readonly directory: string;
}

/** A live simulated device. */
export interface Model {
  /** The register space behind each window of the description. */
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  /** Power-on reset; pins go low, timers stop, battery-backed contents stay. */
  reset(): void;
  /** Counters for tests and reports: bytes lost to overruns, interrupts raised, ... */
  statistics(): Readonly<Record<string, number>>;
  /** Takes the power away and gives it back: what a volatile cache held is lost. For tests and fault injection. */
  powerCut?(): void;
}

/** The default export of every file in runtime/models: what it emulates and how to make one. */
export interface ModelDefinition {
  readonly compatible: readonly string[];
  /** Set for a PCI function: who it says it is. The platform puts it on its bus and gives it its windows and interrupts. */
  readonly pci?: PciIdentity;
  create(description: DeviceDescription, environment: ModelEnvironment): Model;
}

/** Modem signals a port drives, and the break condition on its data line. */
export interface SerialOutputs {
  readonly dtr: boolean;
  readonly rts: boolean;
  readonly break: boolean;
}

/** Modem signals a port sees. */
export interface SerialInputs {
  readonly cts: boolean;
  readonly dsr: boolean;
  readonly ri: boolean;
  readonly dcd: boolean;
}

/** The far end of a serial line: a peer that is plugged into a UART's connector. */
export interface SerialPeer {
  /** Called once by the UART: how the peer sends. */
  connect(line: SerialLine): void;
  /** A character arrived at the peer's end, after its time on the wire. */
  receive(byte: number): void;
  /** The port's outputs changed. */
  outputs(signals: SerialOutputs): void;
  /** After `send` took less than it was given: at least half of the line's queue is free again. */
  ready?(): void;
}

/** The UART's receiving side, as the peer drives it. */
export interface SerialLine {
  /**
   * Queues characters; the line carries one per character time at the port's own baud rate.
   * Returns how many were taken: the queue holds `serialLineBytes`.
   */
  send(bytes: Uint8Array): number;
  inputs(signals: SerialInputs): void;
  /** Puts a break condition, framing or parity error on the line, for tests of line status. */
  disturb(kind: "break" | "framing" | "parity"): void;
}

/** Most characters on their way to a port: a peer that sends more must wait. */
export const serialLineBytes = 65_536;
