/** Hardware of eight bytes of RAM and one line, for the tests of this folder. */
import { VirtualClock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import type { HardwareBackend } from "./hardware-backend.ts";
import { IrqLine } from "./irq-line.ts";
import type { BusGrant } from "./platform.ts";
import type { RegisterSpace } from "./register-space.ts";

export const fakeGrant: BusGrant = {
  driver: "probe", generation: 1n, device: "ram", irqs: [{ name: "line" }], dma: [], limits: { stormPerSecond: 1_000, ackMs: 10 },
  windows: [{ name: "bytes", sizeBytes: 8, rights: "readwrite", widths: [8, 16, 32] }, { name: "more", sizeBytes: 4, rights: "readwrite", widths: [8] }],
};

/** `journal` has each access that reached the device: its direction, offset, width and value. */
export class FakeBackend implements HardwareBackend {
  readonly clock = new VirtualClock();
  readonly journal: (readonly [direction: "read" | "write", offset: number, width: number, value: number])[] = [];
  readonly irq = new IrqLine(1, this.clock);
  readonly #bytes = new DataView(new ArrayBuffer(8));
  /** Set: every access throws this. */
  broken: AirlockError | undefined;

  readonly #space: RegisterSpace = {
    read: (offset, width) => {
      if (this.broken !== undefined) throw this.broken;
      const value = width === 8 ? this.#bytes.getUint8(offset) : width === 16 ? this.#bytes.getUint16(offset, true) : this.#bytes.getUint32(offset, true);
      this.journal.push(["read", offset, width, value]);
      return value;
    },
    write: (offset, width, value) => {
      if (this.broken !== undefined) throw this.broken;
      this.journal.push(["write", offset, width, value]);
      if (width === 8) this.#bytes.setUint8(offset, value);
      else if (width === 16) this.#bytes.setUint16(offset, value, true);
      else this.#bytes.setUint32(offset, value, true);
    },
  };

  space(device: string, window: string): RegisterSpace | undefined {
    return device === "ram" && (window === "bytes" || window === "more") ? this.#space : undefined;
  }

  line(): IrqLine {
    return this.irq;
  }

  irqNumber(device: string, irq: string): number | undefined {
    return device === "ram" && irq === "line" ? 1 : undefined;
  }

  openDomain(): undefined {}

  setBusMaster(): void {}

  resetDevice(): void {}

  powerCut(): void {}

  plug(): void {}

  flush(): void {}

  advance(): void {}

  idleMicros(): number {
    return Infinity;
  }

  statistics(): Readonly<Record<string, number>> {
    return {};
  }

  close(): void {}
}
