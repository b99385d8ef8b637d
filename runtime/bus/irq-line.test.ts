import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import { type IrqBinding, IrqLine, type IrqReceiver } from "./irq-line.ts";

const limits = { stormPerSecond: 1_000_000, ackMs: 10 };

/** One sharer as the test sees it. */
class Sharer implements IrqReceiver {
  readonly binding: IrqBinding;
  raised = 0;
  storms: number[] = [];
  unackedReports = 0;
  /** What must never happen to a sharer and did. */
  readonly wrongs: string[] = [];
  /** It was delivered the line and neither acked nor was acked for. */
  owes = false;
  gone = false;
  readonly #all: readonly Sharer[];

  constructor(line: IrqLine, all: readonly Sharer[], change: Partial<typeof limits> = {}) {
    this.#all = all;
    this.binding = line.attach(this, { ...limits, ...change });
  }

  raise(): void {
    if (this.gone) this.wrongs.push("it left and was delivered the line");
    if (this.owes) this.wrongs.push("it owes an ack and was delivered the line");
    if (this.binding.masked) this.wrongs.push("it is masked and was delivered the line");
    this.raised++;
    this.owes = true;
  }

  storm(perSecond: number): void {
    this.storms.push(perSecond);
  }

  unacked(): void {
    if (!this.owes) this.wrongs.push("an ack was missed that it did not owe");
    this.unackedReports++;
    this.owes = false;
  }

  ack(): void {
    this.owes = false;
    this.binding.ack();
  }

  leave(): void {
    this.owes = false;
    this.gone = true;
    this.binding.detach();
  }

  get othersOwe(): boolean {
    return this.#all.some((other) => other !== this && other.owes);
  }
}

function line(): { clock: VirtualClock; line: IrqLine; sharers: Sharer[]; add: (change?: Partial<typeof limits>) => Sharer } {
  const clock = new VirtualClock();
  const shared = new IrqLine(4, clock);
  const sharers: Sharer[] = [];
  return { clock, line: shared, sharers, add: (change) => { const sharer = new Sharer(shared, sharers, change); sharers.push(sharer); return sharer; } };
}

describe("one sharer", () => {
  test("starts masked, is told when it unmasks, and once until it acks", () => {
    const { line: wire, add } = line();
    const sharer = add();
    wire.setLevel("uart", true);
    expect(sharer.raised).toBe(0);
    sharer.binding.unmask();
    wire.setLevel("rtc", true);
    expect(sharer.raised).toBe(1);
    sharer.ack();
    expect(sharer.raised).toBe(2);
    wire.setLevel("uart", false);
    sharer.ack();
    expect(sharer.raised).toBe(3);
    wire.setLevel("rtc", false);
    sharer.ack();
    expect(sharer.raised).toBe(3);
  });

  test("that does not ack is reported at its limit and masked; an ack in time is not", () => {
    const { clock, line: wire, add } = line();
    const sharer = add();
    sharer.binding.unmask();
    wire.setLevel("uart", true);
    clock.advance(9_999);
    wire.setLevel("uart", false);
    sharer.ack();
    clock.advance(100_000);
    expect(sharer.unackedReports).toBe(0);
    wire.setLevel("uart", true);
    clock.advance(10_000);
    expect(sharer).toMatchObject({ unackedReports: 1, raised: 2, owes: false });
    expect(sharer.binding.masked).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test("is cut off when it is delivered more often than its limit, however it acks, and not below it", () => {
    const { clock, line: wire, add } = line();
    const sharer = add({ stormPerSecond: 100 });
    sharer.binding.unmask();
    for (let windows = 0; windows < 5; windows++) {
      for (let count = 0; count < 10; count++) {
        wire.setLevel("uart", true);
        wire.setLevel("uart", false);
        sharer.ack();
      }
      clock.advance(100_000);
    }
    expect(sharer).toMatchObject({ raised: 50, storms: [] });
    for (let count = 0; count < 20; count++) {
      wire.setLevel("uart", true);
      wire.setLevel("uart", false);
      sharer.ack();
    }
    expect(sharer.raised).toBe(60);
    expect(sharer.storms).toHaveLength(1);
    sharer.binding.unmask();
    wire.setLevel("uart", true);
    expect(sharer.raised).toBe(60);
  });

  test("is cut off sooner when the line never goes low: nobody clears its cause", () => {
    const { line: wire, add } = line();
    const sharer = add({ stormPerSecond: 1_000 });
    sharer.binding.unmask();
    wire.setLevel("uart", true);
    for (let count = 0; count < 100; count++) sharer.ack();
    expect(sharer.storms).toHaveLength(1);
    expect(sharer.raised).toBeLessThan(100);
  });

  test("leaves with its debts paid, and any number of times", () => {
    const { clock, line: wire, add } = line();
    const sharer = add();
    sharer.binding.unmask();
    wire.setLevel("uart", true);
    sharer.leave();
    sharer.binding.detach();
    sharer.binding.unmask();
    sharer.binding.ack();
    expect(clock.pending).toBe(0);
    expect(sharer.raised).toBe(1);
  });
});

type Step =
  | { readonly do: "level"; readonly source: string; readonly on: boolean }
  | { readonly do: "ack" | "mask" | "unmask" | "leave"; readonly who: number }
  | { readonly do: "pass"; readonly micros: number };

const steps: fc.Arbitrary<Step[]> = fc.array(fc.oneof(
  fc.record({ do: fc.constant("level" as const), source: fc.constantFrom("uart", "rtc"), on: fc.boolean() }),
  fc.record({ do: fc.constantFrom("ack" as const, "ack" as const, "mask" as const, "unmask" as const, "unmask" as const, "leave" as const), who: fc.nat(3) }),
  fc.record({ do: fc.constant("pass" as const), micros: fc.integer({ min: 1, max: 12_000 }) }),
), { maxLength: 60 });

describe("sharers in any order", () => {
  test("nobody is told again before everybody has acked, and nobody who is gone or late blocks the others", () => {
    fc.assert(fc.property(steps, (sequence) => {
      const { clock, line: wire, sharers, add } = line();
      for (let count = 0; count < 4; count++) add();
      for (const step of sequence) {
        const owedBefore = sharers.filter(({ owes }) => owes).length;
        const raisedBefore = sharers.reduce((sum, { raised }) => sum + raised, 0);
        if (step.do === "level") wire.setLevel(step.source, step.on);
        else if (step.do === "pass") clock.advance(step.micros);
        else if (step.do === "ack") sharers[step.who]!.ack();
        else if (step.do === "leave") sharers[step.who]!.leave();
        else sharers[step.who]!.binding[step.do]();
        const raised = sharers.reduce((sum, sharer) => sum + sharer.raised, 0);
        // While two or more owe, one call can free one of them only.
        if (owedBefore >= 2 && step.do !== "pass") expect(raised).toBe(raisedBefore);
        for (const sharer of sharers) expect(sharer.binding.owesAck).toBe(sharer.owes);
        expect(sharers.flatMap(({ wrongs }) => wrongs)).toEqual([]);
      }
      // Everyone's limit passes: nobody owes any more, so whoever is unmasked is told when the line rises.
      clock.advance(limits.ackMs * 1000);
      wire.setLevel("uart", false);
      wire.setLevel("rtc", false);
      clock.advance(limits.ackMs * 1000);
      expect(sharers.some(({ owes }) => owes)).toBe(false);
      expect(clock.pending).toBe(0);
      const present = sharers.filter(({ gone }) => !gone);
      for (const sharer of present) sharer.binding.unmask();
      const before = present.map(({ raised }) => raised);
      wire.setLevel("uart", true);
      expect(present.map(({ raised }) => raised)).toEqual(before.map((count) => count + 1));
      expect(sharers.flatMap(({ wrongs }) => wrongs)).toEqual([]);
      expect(present.every(({ othersOwe, owes }) => owes && (present.length === 1 || othersOwe))).toBe(true);
    }));
  });
});

describe("messages", () => {
  test("one that comes while the line is owed, masked or not attached is delivered later, and several of them once", () => {
    const clock = new VirtualClock();
    const line = new IrqLine(1, clock);
    line.pulse();
    let delivered = 0;
    const binding = line.attach({ raise: () => { delivered++; }, storm: () => undefined, unacked: () => undefined }, { stormPerSecond: 1_000, ackMs: 10 });
    expect(delivered).toBe(0);
    binding.unmask();
    expect(delivered).toBe(1);
    line.pulse();
    line.pulse();
    expect(delivered).toBe(1);
    binding.ack();
    expect(delivered).toBe(2);
    binding.ack();
    expect(delivered).toBe(2);
    binding.detach();
  });

  test("without end are cut off at the limit, whether each is acked at once or they pile up", () => {
    for (const pulsesPerAck of [1, 50]) {
      const clock = new VirtualClock();
      const line = new IrqLine(1, clock);
      const storms: number[] = [];
      let delivered = 0;
      const binding = line.attach({ raise: () => { delivered++; }, storm: (perSecond) => { storms.push(perSecond); }, unacked: () => undefined }, { stormPerSecond: 1_000, ackMs: 10 });
      binding.unmask();
      for (let count = 0; count < 10_000; count++) {
        line.pulse();
        if (count % pulsesPerAck === 0) binding.ack();
        clock.advance(10);
      }
      expect(storms).toHaveLength(1);
      // What the limit allows in one window of 100 ms.
      expect(delivered).toBeLessThanOrEqual(100);
      binding.ack();
      binding.unmask();
      line.pulse();
      expect(delivered).toBeLessThanOrEqual(100);
      binding.detach();
    }
  });
});
