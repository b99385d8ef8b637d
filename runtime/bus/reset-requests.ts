/** Devices' requests for the machine's reset on their way to the control plane, at a rate that it can bear. */

/**
 * At most one per device in this time: a driver can have its watchdog run out every microsecond, and whoever is told logs it. QEMU
 * limits its own events of that kind to one per second.
 */
const gapMs = 100;

export class ResetRequests {
  readonly #nowMs: () => number;
  readonly #tell: (device: string) => void;
  /** When each device's last request was told. */
  readonly #toldMs = new Map<string, number>();
  /** Devices that asked since; however often, it is told once. */
  readonly #waiting = new Set<string>();

  constructor(nowMs: () => number, tell: (device: string) => void) {
    this.#nowMs = nowMs;
    this.#tell = tell;
  }

  add(device: string): void {
    this.#waiting.add(device);
    this.tellDue();
  }

  /** To be called now and then, at least every `gapMs`: tells what waits and may be told. */
  tellDue(): void {
    if (this.#waiting.size === 0) return;
    const now = this.#nowMs();
    for (const device of this.#waiting) {
      if (now - (this.#toldMs.get(device) ?? -Infinity) < gapMs) continue;
      this.#waiting.delete(device);
      this.#toldMs.set(device, now);
      this.#tell(device);
    }
  }
}
