/** QEMU's device time: it follows the real one, and runs ahead where a device would let everyone wait for nothing. */

/**
 * How far device time may be ahead where a device tells the time. Whoever repeats the write more often than time can catch up
 * waits the device's wait.
 */
export const clockAheadMicros = 4_000_000;

/** While ahead, device time runs slower by this share: never so slow that a timer of a device is noticeably late. */
const slowerShare = 1 / 8;

/** How much of QEMU's time is due. Times in microseconds of the platform's clock. */
export class DeviceTime {
  readonly #maxLateMicros: number;
  readonly #maxAheadMicros: number;
  #followedMicros: number;
  #aheadMicros = 0;

  constructor(nowMicros: number, maxLateMicros: number, maxAheadMicros: number) {
    this.#followedMicros = nowMicros;
    this.#maxLateMicros = maxLateMicros;
    this.#maxAheadMicros = maxAheadMicros;
  }

  /** How far behind the real time it is, disregarding what it is ahead. */
  behind(nowMicros: number): number {
    return nowMicros - this.#followedMicros;
  }

  /** Takes the nanoseconds to step by, whole; what rounding leaves comes the next time. At most `mostMicros` of real time at once. */
  take(nowMicros: number, mostMicros: number): number {
    this.#followedMicros = Math.max(this.#followedMicros, nowMicros - this.#maxLateMicros);
    const elapsed = Math.min(Math.floor((nowMicros - this.#followedMicros) * 1_000), mostMicros * 1_000);
    this.#followedMicros += elapsed / 1_000;
    const held = Math.floor(Math.min(this.#aheadMicros * 1_000, elapsed * slowerShare));
    this.#aheadMicros -= held / 1_000;
    return elapsed - held;
  }

  /** Whether to step by that much at once now. */
  skip(micros: number): boolean {
    // Where nothing tells the time nobody minds that it is ahead.
    if (this.#maxAheadMicros === Infinity) return true;
    if (this.#aheadMicros + micros > this.#maxAheadMicros) return false;
    this.#aheadMicros += micros;
    return true;
  }
}
