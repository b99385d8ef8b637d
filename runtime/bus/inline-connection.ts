/** A bus connection and port in the hardware's own thread: for deterministic worlds, where one thread runs everything. */
import type { IrqOp } from "../api/bridge.ts";
import { AirlockError } from "../api/errors.ts";
import type { AccessWidth } from "../api/grants.ts";
import type { BusPort } from "./bus-port.ts";
import type { HardwareBackend } from "./hardware-backend.ts";
import type { BusConnection, BusGrant, BusReport, QuiesceStep } from "./platform.ts";
import type { RamHandle } from "./ram.ts";
import { VirtualBus } from "./virtual-bus.ts";

/** What an inline host opens its port with. */
export interface InlineHandle {
  readonly port: BusPort;
  readonly grant: BusGrant;
  readonly ram: RamHandle | undefined;
  /** Sets who is told that interrupts wait at the port. */
  onIrq(listener: () => void): void;
}

/** Posted writes are performed at once; the gate is a set of names. The same rules as the channel, without threads. */
export class InlineConnection implements BusConnection<InlineHandle>, BusPort {
  readonly grant: BusGrant;
  readonly handle: InlineHandle;
  readonly #bus: VirtualBus;
  readonly #closed = new Set<string>();
  readonly #delivered = new Set<number>();
  #listener: () => void = () => undefined;
  #answer = 0;

  constructor(backend: HardwareBackend, grant: BusGrant, report: (report: BusReport) => void, ram?: RamHandle) {
    this.grant = grant;
    this.handle = { port: this, grant, ram, onIrq: (listener) => { this.#listener = listener; } };
    this.#bus = new VirtualBus(backend, grant, {
      raise: (irq) => { this.#delivered.add(irq); this.#listener(); },
      report,
    });
  }

  read(window: number, offset: number, width: AccessWidth): number {
    this.#check(this.grant.windows[window]?.name);
    return this.#bus.read(window, offset, width);
  }

  postRead(window: number, offset: number, width: AccessWidth): void {
    this.#answer = this.read(window, offset, width);
  }

  takeRead(): number {
    return this.#answer;
  }

  write(window: number, offset: number, width: AccessWidth, value: number): void {
    this.#check(this.grant.windows[window]?.name);
    this.#bus.write(window, offset, width, value);
  }

  irq(line: number, op: IrqOp): void {
    this.#check(this.grant.irqs[line]?.name);
    this.#bus.irq(line, op);
  }

  takeIrqs(): number[] {
    const lines = [...this.#delivered].toSorted((a, b) => a - b);
    this.#delivered.clear();
    return lines;
  }

  gate(names: readonly string[] = [...this.grant.windows, ...this.grant.irqs].map(({ name }) => name)): void {
    for (const name of names) this.#closed.add(name);
  }

  async mask(): Promise<void> {
    this.#bus.maskAll();
  }

  async quiesce(steps: readonly QuiesceStep[]): Promise<void> {
    this.#bus.quiesce(steps);
  }

  async stopDma(): Promise<void> {
    this.#bus.stopDma();
  }

  async unmap(): Promise<void> {
    this.#bus.unmap();
  }

  async forceAck(): Promise<void> {
    this.#bus.detach();
  }

  async close(): Promise<void> {
    this.gate();
    this.#bus.stopDma();
    this.#bus.unmap();
    this.#bus.detach();
    this.#listener = () => undefined;
  }

  #check(name: string | undefined): void {
    if (name === undefined || !this.#closed.has(name)) return;
    throw new AirlockError("CapabilityRevoked", `${this.grant.driver}: capability "${name}" has been revoked`, { holder: this.grant.driver, capability: name });
  }
}
