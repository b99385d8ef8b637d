/** The bench for devices with DMA: registers of any width, memory behind an IOMMU, messages, and what is on their wire. */
import type { AccessWidth, Rights } from "../../../runtime/api/grants.ts";
import type { DmaFault } from "../../../runtime/bus/iommu.ts";

/** One PCI device, powered on for one test, bus-mastering, its MSI-X on where it has it. Any method may be asynchronous: the device may be in another process. */
export interface DmaDeviceBench {
  read(window: string, offset: number, width: AccessWidth): number | Promise<number>;
  write(window: string, offset: number, width: AccessWidth, value: number): void | Promise<void>;
  /** Maps fresh zeroed memory for the device; whole pages. Pages around it are not mapped. */
  allocate(sizeBytes: number, rights?: Rights): Promise<DmaBlock> | DmaBlock;
  readMemory(iova: number, sizeBytes: number): Uint8Array | Promise<Uint8Array>;
  writeMemory(iova: number, bytes: Uint8Array): void | Promise<void>;
  /** Takes memory of `allocate` from the device. */
  unmap(block: DmaBlock): void | Promise<void>;
  /** Blocked accesses of the device since the last call. Platforms may merge several of one page into one. */
  takeFaults(): readonly DmaFault[] | Promise<readonly DmaFault[]>;
  /** Messages of an MSI-X vector ("msix0") since power-on; a platform may merge those that come close together, but loses none altogether. */
  messages(name: string): number | Promise<number>;
  /** The level of the INTx output ("intx"). */
  irqLevel(name: string): boolean | Promise<boolean>;
  /** How often the device has asked for the machine's reset since power-on. */
  resetRequests(): number | Promise<number>;
  /** Moves device time, where the platform's device time stands still by itself. */
  advanceMicros(micros: number): void | Promise<void>;
  /** Lets the device work until the condition holds; rejects, naming `what`, when it does not within 10 s. */
  until(condition: () => boolean | Promise<boolean>, what: string): Promise<void>;
  /** Network cards: puts a frame on the wire towards the card; what the card has sent since the last call; the cable. */
  sendToDevice?(frame: Uint8Array): void | Promise<void>;
  takeFromDevice?(): readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  setCarrier?(up: boolean): void | Promise<void>;
  /** What the platform does to the device when its driver is gone; where that is more than the model's reset. */
  reset?(): void | Promise<void>;
  /** Disks, where the platform can: takes the power away for a moment. */
  powerCut?(): void | Promise<void>;
  /** Powers the device off; the test fails when anything of it is left. */
  close(): void | Promise<void>;
}

export interface DmaBlock {
  readonly iova: number;
  readonly sizeBytes: number;
}

/** Documented ways in which a platform's device differs from its specification or from our model. The suite then asserts what it does. */
export const dmaDifferences = {
  "nvme-ignores-dma-faults": "a command whose data transfer is blocked is completed with success",
  "nvme-keeps-features-on-reset": "a controller reset leaves features as they were set",
  "nvme-keeps-cache-on-reset": "there is no way to cut the device's power: its volatile cache cannot be lost",
  "e1000-reset-does-nothing": "CTRL.RST clears itself and nothing else",
  "e1000-no-transmit-padding": "short frames are sent as they are, whatever TCTL.PSP says",
  "e1000-no-legacy-checksum": "the IC bit of legacy transmit descriptors is ignored",
  "e1000-holds-frames": "frames that find no descriptor wait outside of the card, without limit and uncounted",
  "e1000-io-window-dead": "IOADDR and IODATA read 0 and do nothing",
  "i6300esb-reads-zero": "preload and interrupt status registers read 0",
  "i6300esb-unnoticed-without-output": "with its output disabled the watchdog runs out without leaving its flag",
  "rtl8139-ignores-dma-faults": "a frame whose data cannot be fetched is sent, as zeros",
  "iommu-quiet-on-cached-rights": "a write to a page that is mapped for reading, and was just read, is blocked without a fault record",
} as const;

export type DmaDifference = keyof typeof dmaDifferences;

/** One platform's way to make benches of one kind of device. */
export interface DmaBenchFactory {
  /** Shown in test names: "sim", "qemu". */
  readonly platform: string;
  readonly differences: ReadonlySet<DmaDifference>;
  open(options?: Readonly<Record<string, string | number | boolean>>): DmaDeviceBench | Promise<DmaDeviceBench>;
}

/** Ends a test's name where this platform's device is known to differ; empty elsewhere. */
export function dmaDiffers(factory: DmaBenchFactory, difference: DmaDifference): string {
  return factory.differences.has(difference) ? ` [${factory.platform} differs: ${dmaDifferences[difference]}]` : "";
}

/** Runs `body` on a device powered on for it, and powers it off whatever happens. */
export async function withDmaBench<T>(
  factory: DmaBenchFactory, body: (bench: DmaDeviceBench) => Promise<T>, options?: Readonly<Record<string, string | number | boolean>>,
): Promise<T> {
  const bench = await factory.open(options);
  try {
    return await body(bench);
  } finally {
    await bench.close();
  }
}
