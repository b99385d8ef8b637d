/** Runs a driver in this process on a device bench: registers, DMA memory and interrupts of the bench's device, whatever platform it is on. */
import type { AccessWidth, DmaGrant } from "../../../runtime/api/grants.ts";
import { type TestPins, TestMemory } from "../../../runtime/api/testing.ts";
import type { DmaBlock, DmaDeviceBench } from "../devices/dma-bench.ts";

const pageBytes = 4_096;

/** A driver's DMA memory in the bench's: they see each other's writes at sync calls only. */
class BenchMemory extends TestMemory {
  readonly #bench: DmaDeviceBench;
  readonly #name: string;
  readonly #block: DmaBlock;
  readonly #guest: ArrayBuffer;

  constructor(bench: DmaDeviceBench, name: string, block: DmaBlock) {
    super();
    this.#bench = bench;
    this.#name = name;
    this.#block = block;
    this.#guest = new ArrayBuffer(block.sizeBytes);
  }

  override get regions(): readonly DmaGrant[] {
    return [{ name: this.#name, ...this.#block }];
  }

  override guestSide(): ArrayBuffer {
    return this.#guest;
  }

  override sync(_region: number, offset: number, sizeBytes: number, toDevice: boolean): void {
    const seen = new Uint8Array(this.#guest, offset, sizeBytes);
    if (toDevice) void this.#bench.writeMemory(this.#block.iova + offset, seen.slice());
    else seen.set(this.#bench.readMemory(this.#block.iova + offset, sizeBytes) as Uint8Array);
  }
}

export interface DriverBenchOptions {
  readonly windowBytes: number;
  readonly queuesBytes: number;
  readonly irq: "msix0" | "intx";
}

/** What `startDriver` needs to run a driver on the bench's device, which has to be a synchronous one. */
export async function driverHardware(bench: DmaDeviceBench, { windowBytes, queuesBytes, irq }: DriverBenchOptions) {
  const memory = new BenchMemory(bench, "queues", await bench.allocate(Math.ceil(queuesBytes / pageBytes) * pageBytes));
  let pins: TestPins | undefined;
  let told = 0;
  /** Tells the driver what the device's interrupt output did. */
  const look = (): void => {
    if (irq === "intx") return pins?.setIrq(irq, bench.irqLevel(irq) as boolean);
    const messages = bench.messages(irq) as number;
    if (messages > told) pins?.pulseIrq(irq);
    told = messages;
  };
  const space = {
    read: (offset: number, width: AccessWidth) => {
      const value = bench.read("bar0", offset, width) as number;
      look();
      return value;
    },
    write: (offset: number, width: AccessWidth, value: number) => {
      void bench.write("bar0", offset, width, value);
      look();
    },
  };
  return {
    look,
    hardware: {
      memory, irqs: [irq], windows: { bar0: { sizeBytes: windowBytes, widths: [32] as const, space } },
      connect: (given: TestPins) => {
        pins = given;
        look();
      },
    },
  };
}
