/** A virtual bus: what one driver generation sees of the hardware, enforced in the hardware's own thread. */
import { IrqOp } from "../api/bridge.ts";
import { AirlockError } from "../api/errors.ts";
import type { AccessWidth } from "../api/grants.ts";
import type { HardwareBackend } from "./hardware-backend.ts";
import type { IommuDomain } from "./iommu.ts";
import type { IrqBinding } from "./irq-line.ts";
import type { BusGrant, BusReport, QuiesceStep } from "./platform.ts";
import type { RegisterSpace } from "./register-space.ts";
import { WindowRights } from "./window-rights.ts";

/** How the hardware's side reaches the driver and the control plane. */
export interface BusReceiver {
  /** Line `irq` (its index in the grant) was delivered. */
  raise(irq: number): void;
  report(report: BusReport): void;
}

/**
 * Performs accesses for one driver. Everything is checked here again although the driver's host has checked it: a
 * driver of the worker tier shares its thread with its host and might have written to the channel itself.
 */
export class VirtualBus {
  readonly grant: BusGrant;
  readonly #backend: HardwareBackend;
  readonly #receiver: BusReceiver;
  readonly #driver: string;
  readonly #rights: readonly WindowRights[];
  readonly #spaces: readonly RegisterSpace[];
  readonly #bindings: readonly IrqBinding[];
  readonly #domain: IommuDomain | undefined;

  constructor(backend: HardwareBackend, grant: BusGrant, receiver: BusReceiver) {
    this.grant = grant;
    this.#driver = grant.driver;
    this.#backend = backend;
    this.#receiver = receiver;
    this.#rights = grant.windows.map((window) => new WindowRights(window));
    this.#spaces = grant.windows.map(({ name }) => found(backend.space(grant.device, name), grant.device, "window", name));
    const numbers = grant.irqs.map(({ name }) => found(backend.irqNumber(grant.device, name), grant.device, "irq", name));
    this.#bindings = numbers.map((number, index) => {
      const irq = grant.irqs[index]!.name;
      return backend.line(number).attach({
        raise: () => receiver.raise(index),
        storm: (perSecond) => receiver.report({ kind: "irq-storm", irq, perSecond }),
        unacked: (afterMs) => receiver.report({ kind: "irq-unacked", irq, afterMs }),
      }, grant.limits);
    });
    this.#domain = this.#openDomain();
  }

  /** @throws AirlockError CapabilityViolation; the device sees nothing of a denied access. */
  read(window: number, offset: number, width: AccessWidth): number {
    const space = this.#checked(window, "read", offset, width, 0);
    return space.read(offset, width);
  }

  /** @throws AirlockError CapabilityViolation; the device sees nothing of a denied access. */
  write(window: number, offset: number, width: AccessWidth, value: number): void {
    this.#checked(window, "write", offset, width, value).write(offset, width, value);
  }

  /** @throws AirlockError CapabilityViolation for a line that is not granted. */
  irq(line: number, op: number): void {
    const binding = this.#bindings[line];
    if (binding === undefined) throw this.#unknown("irq", line);
    if (op === IrqOp.attach || op === IrqOp.unmask) binding.unmask();
    else if (op === IrqOp.mask) binding.mask();
    else if (op === IrqOp.ack) binding.ack();
    else throw this.#unknown("irq operation", op);
  }

  /** A denied access that got past the driver's host. */
  reportViolation(error: AirlockError): void {
    this.#receiver.report({ kind: "violation", capability: String(error.fields.capability), reason: String(error.fields.reason) });
  }

  maskAll(): void {
    for (const binding of this.#bindings) binding.mask();
  }

  /** Acks what is owed and leaves every line. */
  detach(): void {
    for (const binding of this.#bindings) binding.detach();
  }

  /** Performs a quiesce recipe. Steps were checked against the manifest; they pass the same check as the driver. */
  quiesce(steps: readonly QuiesceStep[]): void {
    for (const step of steps) {
      const window = this.grant.windows.findIndex((candidate) => candidate.name === step.window);
      if (step.do === "write") this.write(window, step.offset, step.width, step.value);
      else {
        const value = this.read(window, step.offset, step.width);
        if (step.do === "modify") this.write(window, step.offset, step.width, ((value & step.and) | step.or) >>> 0);
      }
    }
    this.#backend.flush();
  }

  /** The device starts no DMA any more: no bus mastering, and a reset where the bus can give one. */
  stopDma(): void {
    // A device that is another generation's by now is not touched any more.
    if (this.#domain?.isOpen !== true) return;
    this.#backend.setBusMaster(this.grant.device, false);
    this.#backend.resetDevice(this.grant.device);
  }

  /** Takes all memory from the device; from now on its DMA faults. Idempotent. */
  unmap(): void {
    this.#domain?.close();
  }

  /** Maps what was granted, and only then lets the device master the bus. A device without a grant of memory never does. */
  #openDomain(): IommuDomain | undefined {
    const { device, dma } = this.grant;
    const domain = this.#backend.openDomain(device, (fault) => this.#receiver.report({ kind: "dma-fault", fault }));
    if (domain === undefined) return undefined;
    try {
      for (const mapping of dma) domain.map(mapping);
      if (dma.length > 0) this.#backend.setBusMaster(device, true);
    } catch (error) {
      domain.close();
      this.detach();
      throw error;
    }
    return domain;
  }

  #checked(window: number, direction: "read" | "write", offset: number, width: AccessWidth, value: number): RegisterSpace {
    const rights = this.#rights[window];
    if (rights === undefined) throw this.#unknown("window", window);
    rights.check(this.#driver, direction, offset, width, value);
    return this.#spaces[window]!;
  }

  #unknown(kind: string, index: number): AirlockError {
    return new AirlockError("CapabilityViolation", `${this.grant.driver}: there is no ${kind} number ${index}`, {
      holder: this.grant.driver, capability: `${kind} ${index}`, reason: "handle",
    });
  }
}

function found<T>(value: T | undefined, device: string, kind: string, name: string): T {
  if (value === undefined) throw new AirlockError("NotFound", `device "${device}" has no ${kind} "${name}"`, { device, name });
  return value;
}
