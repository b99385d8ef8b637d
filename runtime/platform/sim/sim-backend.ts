/** The simulated hardware: models on one clock, their pins wired to interrupt lines. */
import { type Clock, VirtualClock } from "../../api/clock.ts";
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription, Model, ModelDefinition, SerialPeer } from "../../bus/device.ts";
import type { HardwareBackend } from "../../bus/hardware-backend.ts";
import { IrqLine } from "../../bus/irq-line.ts";
import type { RegisterSpace } from "../../bus/register-space.ts";

/**
 * Device time never runs further than this past an event that is due: a thread that was not scheduled in time slows
 * the simulated hardware down instead of making it lose characters that real hardware would not have lost.
 */
const maxLateMicros = 200;

/**
 * While an interrupt is delivered and not yet acked, device time goes on for `graceMicros`, then stands still, for at most
 * `holdMicros`: a driver whose thread is not scheduled loses no characters by it. One that is dead or hung gets no such
 * help: its lines are detached, or the hold is over.
 */
const graceMicros = 150;
const holdMicros = 100_000;
/** How long the hardware's thread sleeps while time stands still; an ack wakes it. */
const heldIdleMicros = 200;

/** How much faster than real time simulated hardware runs while it makes up for such a delay. */
const catchUpShare = 0.25;

export interface SimDevice {
  readonly description: DeviceDescription;
  readonly model: ModelDefinition;
  readonly peer: SerialPeer;
}

export interface SimOptions {
  readonly devices: readonly SimDevice[];
  /** Civil time at clock time 0, in milliseconds since the Unix epoch. */
  readonly epochMs: number;
  /** The clock that device time follows; in a deterministic world it is also the models' clock. */
  readonly clock: Clock;
}

export class SimBackend implements HardwareBackend {
  readonly #source: Clock;
  readonly #deviceClock: VirtualClock | undefined;
  readonly #modelClock: Clock;
  readonly #lines = new Map<number, IrqLine>();
  readonly #devices = new Map<string, { description: DeviceDescription; model: Model }>();
  #lastMicros: number;
  /** How far device time is behind. */
  #lagMicros = 0;
  /** Since when some driver has owed an ack without a break. */
  #owedSinceMicros: number | undefined;

  constructor(options: SimOptions) {
    this.#source = options.clock;
    this.#lastMicros = options.clock.nowMicros();
    this.#deviceClock = options.clock instanceof VirtualClock ? undefined : new VirtualClock();
    this.#modelClock = this.#deviceClock ?? options.clock;
    for (const { description, model, peer } of options.devices) {
      const live = model.create(description, {
        clock: this.#modelClock, epochMs: options.epochMs, serial: peer,
        irq: (name) => this.#pin(description, name),
      });
      this.#devices.set(description.name, { description, model: live });
    }
  }

  space(device: string, window: string): RegisterSpace | undefined {
    return this.#devices.get(device)?.model.spaces[window];
  }

  line(number: number): IrqLine {
    let line = this.#lines.get(number);
    if (line === undefined) this.#lines.set(number, (line = new IrqLine(number, this.#modelClock)));
    return line;
  }

  irqNumber(device: string, irq: string): number | undefined {
    return this.#devices.get(device)?.description.irqs[irq];
  }

  /** Nothing to do: models see a write when it is performed. */
  flush(): void {}

  advance(): void {
    if (this.#deviceClock === undefined) return;
    const now = this.#source.nowMicros();
    const elapsed = now - this.#lastMicros;
    this.#lastMicros = now;
    const due = this.#deviceClock.nextDueMicros();
    const limit = due === undefined ? Infinity : Math.max(0, due - this.#deviceClock.nowMicros()) + maxLateMicros;
    const step = this.#isHeld(now) ? 0 : Math.min(elapsed + Math.min(this.#lagMicros, elapsed * catchUpShare), limit);
    this.#lagMicros = Math.max(0, this.#lagMicros + elapsed - step);
    this.#deviceClock.advance(step);
  }

  idleMicros(): number {
    const due = this.#deviceClock?.nextDueMicros();
    if (this.#deviceClock === undefined || due === undefined) return Infinity;
    if (this.#isHeld(this.#source.nowMicros())) return heldIdleMicros;
    const behind = this.#source.nowMicros() - this.#lastMicros;
    const pace = this.#lagMicros > 0 ? 1 + catchUpShare : 1;
    return Math.max(0, (due - this.#deviceClock.nowMicros()) / pace - behind);
  }

  /** Whether a driver owes an ack for longer than the grace, and not yet for longer than the hold. */
  #isHeld(nowMicros: number): boolean {
    let owed = false;
    for (const line of this.#lines.values()) owed ||= line.owed;
    if (!owed) this.#owedSinceMicros = undefined;
    else this.#owedSinceMicros ??= nowMicros;
    const owedMicros = nowMicros - (this.#owedSinceMicros ?? nowMicros);
    return owedMicros > graceMicros && owedMicros < graceMicros + holdMicros;
  }

  statistics(device: string): Readonly<Record<string, number>> {
    const found = this.#devices.get(device);
    if (found === undefined) throw new AirlockError("NotFound", `there is no device "${device}"`, { device });
    return found.model.statistics();
  }

  close(): void {
    for (const { model } of this.#devices.values()) model.reset();
  }

  #pin(description: DeviceDescription, name: string): { set(asserted: boolean): void } {
    const number = description.irqs[name];
    if (number === undefined) return { set: () => undefined };
    const line = this.line(number);
    const source = `${description.name}.${name}`;
    return { set: (asserted) => line.setLevel(source, asserted) };
  }
}
