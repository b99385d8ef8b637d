/** What a driver of a kind of device needs of a machine: windows, lines, DMA memory, by the names that machine files use. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/** The part of a manifest that says what a driver needs. */
export interface Needs {
  readonly windows: Readonly<Record<string, unknown>>;
  readonly irqs: readonly string[];
  readonly optionalIrqs?: readonly string[];
  readonly dma: Readonly<Record<string, unknown>>;
}

/** Names the user gives to what a device that is not on PCI has. */
export interface GivenResources {
  readonly windows: readonly string[];
  readonly irqs: readonly string[];
}

/** A device that every PC has had at the same place, as this project's machine files describe it. */
export interface StandardDevice {
  /** Its PnP ids, lower case. */
  readonly ids: readonly string[];
  /** What machine files call it. */
  readonly compatible: string;
  readonly windows: readonly string[];
  readonly irqs: readonly string[];
}

/** Devices that are not on PCI and have no names of their own for what they decode; ids as in the PnP device id list. */
const standardDevices: readonly StandardDevice[] = [
  { ids: ["pnp0b00", "pnp0b01", "pnp0b02"], compatible: "mc146818", windows: ["cmos"], irqs: ["tick"] },
  { ids: ["pnp0500", "pnp0501"], compatible: "uart-16550", windows: ["regs"], irqs: ["line"] },
];

/** What machine files call what a device of no known kind decodes and signals: a driver gets those that are granted. */
const plainNames: GivenResources = { windows: ["ports0", "ports1", "ports2", "ports3", "regs0", "regs1", "regs2", "regs3"], irqs: ["irq0", "irq1", "irq2", "irq3"] };
/** A BAR may be wide, and a driver's own accesses say nothing before it runs. */
const widths = [8, 16, 32];
const pciBars = ["bar0", "bar1", "bar2", "bar3", "bar4", "bar5"];
/** Message lines that a driver may get; drivers with more queues take fewer. */
const messageLines = 8;
/** The kernel heap, of which everything is DMA memory; a large network driver takes 3 MiB of it. */
const heapSize = "8MiB";
/** As much as the classes' buffers always are; together with the heap it is what a driver gets without being granted more. */
const buffersSize = "8MiB";

/** What drivers of PCI devices need. `hasQueues`: whether the class passes buffers to its driver. */
export function pciNeeds(hasQueues: boolean): Needs {
  const bars = pciBars.map((name) => [name, { optional: true, rights: "readwrite", widths }]);
  return {
    windows: { ...Object.fromEntries(bars), config: { rights: "readwrite", widths } },
    irqs: [],
    optionalIrqs: ["intx", ...Array.from({ length: messageLines }, (_, index) => `msix${index}`)],
    dma: { heap: { size: heapSize }, ...(hasQueues && { buffers: { size: buffersSize, use: "buffers", visible: true } }) },
  };
}

/** The standard device that one of these PnP ids means. */
export function standardDevice(ids: readonly string[]): StandardDevice | undefined {
  return standardDevices.find((one) => one.ids.some((id) => ids.includes(id)));
}

/** What drivers of other devices need: what the user names, else what the standard device has, else whatever there is. */
export function otherNeeds(standard: StandardDevice | undefined, given: GivenResources): Needs {
  const named = given.windows.length > 0 ? given.windows : standard?.windows;
  const irqs = given.irqs.length > 0 ? given.irqs : (standard?.irqs ?? plainNames.irqs);
  // Wide registers only where nothing is known: a PC's old devices decode bytes.
  const need = named === undefined ? { optional: true, rights: "readwrite", widths } : { rights: "readwrite", widths: [8] };
  return { windows: Object.fromEntries((named ?? plainNames.windows).map((name) => [name, need])), irqs: [], optionalIrqs: irqs, dma: {} };
}
