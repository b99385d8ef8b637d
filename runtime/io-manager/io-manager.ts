/** The I/O manager: the only part that hands out resources, one live connection per driver, each step in the ledger. */
import type { Clock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import { type BusConnection, type BusGrant, type BusReport, controlStepMs, type Platform } from "../bus/platform.ts";
import type { DmaMapping } from "../bus/iommu.ts";
import { RamPages } from "./dma-memory.ts";
import { Ledger } from "./ledger.ts";
import type { AssignedPackage, Assignment } from "./match.ts";

/**
 * The resources of one generation of one driver. The steps of a teardown are separate, in this order: gate, mask,
 * quiesce, stopDma, unmap, forceAck, close; whoever calls them limits their time and calls `abandon` when the platform never comes back.
 */
export interface Lease<Handle = unknown> {
  readonly driver: string;
  readonly generation: bigint;
  readonly grant: BusGrant;
  /** What the driver host opens its port with. */
  readonly handle: Handle;
  /** Closes one capability for good. @throws AirlockError NotFound when the grant has none of that name */
  revoke(capability: string, reason: string): void;
  /** Closes every capability at once. */
  gate(reason: string): void;
  mask(): Promise<void>;
  /** Makes the device quiet with the recipe of the package that was connected. */
  quiesce(): Promise<void>;
  /** Bus mastering off, and a reset where the bus can give one: the device starts no DMA any more. */
  stopDma(): Promise<void>;
  /** Takes all memory from the device, invalidated before it resolves. */
  unmap(): Promise<void>;
  forceAck(): Promise<void>;
  /** Gives everything back, also when the platform reports an error, which is then thrown. Idempotent. */
  close(): Promise<void>;
  /** Gives everything back without the platform: for one that is lost or does not answer. Gates first. Idempotent. */
  abandon(reason: string): void;
}

/** Pages in sandboxes, as the native addon gives and takes them. */
export interface PageGrants {
  create(): number;
  /** At once, from any thread, and for good. */
  revoke(grant: number): void;
}

/** Hands out what the assignments say, and nothing else. */
export class IoManager<Handle = unknown> {
  readonly ledger: Ledger;
  readonly #platform: Platform<Handle>;
  readonly #clock: Clock;
  readonly #assignments: ReadonlyMap<string, Assignment>;
  /** A driver that is being connected has no lease yet but its place is taken. */
  readonly #leases = new Map<string, Lease<Handle> | "connecting">();
  readonly #generations = new Map<string, bigint>();
  readonly #memory = new Map<AssignedPackage, readonly DmaMapping[]>();
  readonly #pages: PageGrants | undefined;

  /**
   * Without `pages` drivers see their DMA memory by copies.
   * @throws AirlockError PlatformUnavailable when the platform has less memory than the assignments need
   */
  constructor(platform: Platform<Handle>, assignments: readonly Assignment[], clock: Clock, ledger: Ledger = new Ledger(clock), pages?: PageGrants) {
    this.#platform = platform;
    this.#clock = clock;
    this.#assignments = new Map(assignments.map((one) => [one.driver, one]));
    this.#pages = pages;
    this.ledger = ledger;
    const ram = new RamPages(platform.ram);
    for (const one of assignments) {
      const own = ram.place(one.driver, one.grant.dma);
      this.#memory.set(one, own);
      if (one.alternative !== undefined) this.#memory.set(one.alternative, ram.place(one.driver, one.alternative.grant.dma, own));
    }
  }

  /** The DMA memory of a driver; the same for all its generations. @throws AirlockError NotFound */
  memory(driver: string, which: "package" | "alternative" = "package"): readonly DmaMapping[] {
    return this.#memory.get(this.#assigned(driver, which))!;
  }

  /**
   * Connects a generation of a driver to its device; `which` chooses its package or the alternative.
   * @throws AirlockError NotFound without such a driver; InvalidArgument while another generation is connected or when
   * the generation is not newer; HardwareTimeout; what the platform throws
   */
  async connect(
    driver: string, generation: bigint, report: (report: BusReport) => void, which: "package" | "alternative" = "package",
  ): Promise<Lease<Handle>> {
    const assigned = this.#assigned(driver, which);
    const { grant, quiesce } = assigned;
    const last = this.#generations.get(driver);
    if (this.#leases.has(driver)) throw refused(driver, generation, `generation ${last} is still connected; close it first`);
    if (last !== undefined && generation <= last) throw refused(
      driver,
      generation,
      `generation ${last} was connected before; generations are never reused`,
    );
    this.#leases.set(driver, "connecting");
    this.#generations.set(driver, generation);
    const dma = this.#memory.get(assigned)!;
    const pageGrant = dma.some(({ guest }) => guest) ? this.#pages?.create() : undefined;
    const connection = await this.#connectInTime({ ...grant, generation, dma, ...(pageGrant !== undefined && { pageGrant }) }, report);
    const lease = new ConnectionLease(connection, quiesce, this.ledger, this.#pages, () => this.#leases.delete(driver));
    this.#leases.set(driver, lease);
    return lease;
  }

  /** A connection that comes after its deadline is closed at once; until then its driver's place stays taken. */
  async #connectInTime(grant: BusGrant, report: (report: BusReport) => void): Promise<BusConnection<Handle>> {
    const free = () => this.#leases.delete(grant.driver);
    return new Promise((resolve, reject) => {
      let late = false;
      const cancel = this.#clock.setTimer(controlStepMs * 1_000, () => {
        late = true;
        reject(
          new AirlockError("HardwareTimeout", `platform ${this.#platform.type} did not connect driver "${grant.driver}" within ${controlStepMs} ms; restart the machine`, {
            driver: grant.driver,
            device: grant.device,
          }),
        );
      });
      const connected = (connection: BusConnection<Handle>): void => {
        cancel();
        if (!late) return resolve(connection);
        connection.gate();
        connection.close().then(free, free);
      };
      const failed = (error: unknown): void => {
        cancel();
        free();
        reject(error instanceof Error ? error : new Error(String(error)));
      };
      // A platform that throws before it returns a promise fails like one that rejects.
      Promise.resolve().then(() => this.#platform.connect(grant, report)).then(connected).catch(failed);
    });
  }

  /** The live lease of a driver. */
  lease(driver: string): Lease<Handle> | undefined {
    const lease = this.#leases.get(driver);
    return lease === "connecting" ? undefined : lease;
  }

  /** Takes one capability from a connected driver. @throws AirlockError NotFound when there is no such connection or capability */
  revoke(driver: string, capability: string, reason: string): void {
    const lease = this.lease(driver);
    if (lease === undefined) throw new AirlockError(
      "NotFound",
      `driver "${driver}" is not connected; nothing to revoke`,
      { driver, capability },
    );
    lease.revoke(capability, reason);
  }

  #assigned(driver: string, which: "package" | "alternative"): AssignedPackage {
    const assignment = this.#assignments.get(driver);
    const assigned = which === "package" ? assignment : assignment?.alternative;
    if (assigned !== undefined) return assigned;
    const lack = assignment === undefined ? "is not assigned to any device" : "has no alternative";
    throw new AirlockError("NotFound", `driver "${driver}" ${lack}; see the machine file's drivers`, { driver });
  }
}

class ConnectionLease<Handle> implements Lease<Handle> {
  readonly driver: string;
  readonly generation: bigint;
  readonly grant: BusGrant;
  readonly handle: Handle;
  readonly #connection: BusConnection<Handle>;
  readonly #quiesce: AssignedPackage["quiesce"];
  readonly #ledger: Ledger;
  readonly #pages: PageGrants | undefined;
  readonly #released: () => void;
  /** Capabilities the driver can use. */
  readonly #open: Set<string>;
  /** Capabilities it has not given back. */
  readonly #held: Set<string>;
  #closing: Promise<void> | undefined;
  #gone = false;

  constructor(
    connection: BusConnection<Handle>, quiesce: AssignedPackage["quiesce"], ledger: Ledger, pages: PageGrants | undefined, released: () => void,
  ) {
    const { grant } = connection;
    this.driver = grant.driver;
    this.generation = grant.generation;
    this.grant = grant;
    this.handle = connection.handle;
    this.#connection = connection;
    this.#quiesce = quiesce;
    this.#ledger = ledger;
    this.#pages = pages;
    this.#released = released;
    this.#held = new Set([...grant.windows, ...grant.irqs, ...grant.dma].map((one) => one.name));
    this.#open = new Set(this.#held);
    for (const name of this.#held) this.#log(name, "grant", `connected to device "${grant.device}"`);
  }

  revoke(capability: string, reason: string): void {
    if (!this.#held.has(capability)) {
      throw new AirlockError("NotFound", `driver "${this.driver}" holds no capability "${capability}"; it holds ${[...this.#held].join(", ") || "none"}`, {
        driver: this.driver,
        capability,
      });
    }
    if (this.grant.dma.some(({ name }) => name === capability)) {
      throw new AirlockError("Unsupported", `DMA memory "${capability}" of driver "${this.driver}" is revoked with its generation only`, { driver: this.driver, capability });
    }
    this.#connection.gate([capability]);
    this.#open.delete(capability);
    this.#held.delete(capability);
    this.#log(capability, "revoke", reason);
  }

  gate(reason: string): void {
    this.#connection.gate();
    if (this.grant.pageGrant !== undefined) this.#pages?.revoke(this.grant.pageGrant);
    for (const name of this.#open) this.#log(name, "gate", reason);
    this.#open.clear();
  }

  mask(): Promise<void> {
    return this.#connection.mask();
  }

  quiesce(): Promise<void> {
    return this.#connection.quiesce(this.#quiesce);
  }

  stopDma(): Promise<void> {
    return this.#connection.stopDma();
  }

  unmap(): Promise<void> {
    return this.#connection.unmap();
  }

  forceAck(): Promise<void> {
    return this.#connection.forceAck();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  abandon(reason: string): void {
    try {
      this.gate(reason);
    } finally {
      this.#release(reason);
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#connection.close();
    } finally {
      this.#release("closed");
    }
  }

  /** Once: a later generation may hold the driver's place by the time a slow close comes back. */
  #release(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    for (const name of this.#held) this.#log(name, "revoke", reason);
    this.#held.clear();
    this.#open.clear();
    this.#released();
  }

  #log(capability: string, action: "grant" | "gate" | "revoke", reason: string): void {
    this.#ledger.append(this.driver, this.generation, capability, action, reason);
  }
}

function refused(driver: string, generation: bigint, why: string): AirlockError {
  return new AirlockError(
    "InvalidArgument",
    `driver "${driver}" generation ${generation} cannot be connected: ${why}`,
    { driver, generation: String(generation) },
  );
}
