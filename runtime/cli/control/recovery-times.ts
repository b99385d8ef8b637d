/** How long each driver took to be back in service after its failures, as an operator sees it: clients or no clients. */
import type { Machine } from "../machine.ts";

/** Recoveries kept per driver: enough for a median that follows the present. */
const kept = 256;

export class RecoveryTimes {
  readonly #ms = new Map<string, number[]>();

  constructor(machine: Machine) {
    for (const { name, supervisor } of machine.drivers.values()) {
      const times: number[] = [];
      this.#ms.set(name, times);
      let recovered = supervisor.status.lastFailure;
      supervisor.onChange(({ state, target, lastFailure }) => {
        // Held or stopped by somebody: when it comes back says nothing about recovery.
        if (target !== "running") recovered = lastFailure;
        if (state !== "running" || lastFailure === undefined || lastFailure === recovered) return;
        recovered = lastFailure;
        times.push((machine.clock.nowMicros() - lastFailure.atMicros) / 1000);
        if (times.length > kept) times.shift();
      });
    }
  }

  /** Milliseconds of the latest recovery. */
  last(driver: string): number | undefined {
    return this.#ms.get(driver)?.at(-1);
  }

  /** Median in milliseconds. */
  p50(driver: string): number | undefined {
    const sorted = this.#ms.get(driver)?.toSorted((x, y) => x - y) ?? [];
    return sorted[Math.floor((sorted.length - 1) / 2)];
  }
}
