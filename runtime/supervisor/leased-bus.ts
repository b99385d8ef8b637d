/** The supervisor's way to a driver's device through the I/O manager: a lease per generation. */
import type { DriverSetup } from "../api/grants.ts";
import type { BusReport } from "../bus/platform.ts";
import type { IoManager } from "../io-manager/io-manager.ts";
import type { DriverBus, DriverConnection } from "./driver-bus.ts";

export class LeasedBus<Handle> implements DriverBus<Handle> {
  readonly #io: IoManager<Handle>;
  readonly #setup: DriverSetup;
  readonly #which: "package" | "alternative";

  /** `setup` is what each generation is told about its grants; `which` is the package that the driver runs. */
  constructor(io: IoManager<Handle>, setup: DriverSetup, which: "package" | "alternative" = "package") {
    this.#io = io;
    this.#setup = setup;
    this.#which = which;
  }

  async connect(generation: bigint, report: (report: BusReport) => void): Promise<DriverConnection<Handle>> {
    const lease = await this.#io.connect(this.#setup.driver, generation, report, this.#which);
    const hasDma = lease.grant.dma.length > 0;
    return {
      setup: this.#setup, handle: lease.handle,
      gate: (reason) => lease.gate(reason), abandon: (reason) => lease.abandon(reason),
      mask: () => lease.mask(), quiesce: () => lease.quiesce(), stopDma: () => (hasDma ? lease.stopDma() : undefined), unmap: () => (hasDma ? lease.unmap() : undefined), forceAck: () => lease.forceAck(), close: () => lease.close(),
    };
  }
}
