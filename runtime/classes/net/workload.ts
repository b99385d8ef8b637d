/** The net workload: frames to a peer that sends each back, many under way at once; accounts for every one. */
import { AirlockError, errorText } from "../../api/errors.ts";
import { type Workload, type WorkloadEnvironment, Tally, sleep } from "../workload.ts";
import { headerBytes } from "./contract.ts";
import type { NetInterface, OpenInterface } from "./interface.ts";
import { macToBytes, parseMac } from "./mac.ts";
import { ProbeFrames, leastBytes } from "./probe-frame.ts";

/** Frames under way at once: what keeps a driver busy in batches, and far below what rings and queues hold. */
const windowFrames = 32;

/** Largest payload used, or less where the device takes less. */
const mostPayloadBytes = 1_500;

/** After a restart, frames that were under way may be gone: one more is sent each time nothing came for this long, to find out. */
const quietMs = 20;

/** A frame that does not come back within this time, with no restart to explain it, was lost silently: the one thing that must not happen. */
const patienceMs = 10_000;

/**
 * A frame that later ones overtook may still be with a driver that lost it, and is sent again when that is noticed: within
 * the class's limit for a transmission, and a recovery.
 */
const overtakenMs = 5_000;

/** Longest wait of one step: how soon a silence is seen. */
const stepMs = 2;

/** How often the card's counters are asked for. */
const pollMs = 1;

/** Where frames are sent to: an address of its own kind, locally administered, which no card has. */
const farEnd = macToBytes(0x02_00_00_00_88_b5);

export async function createWorkload(open: OpenInterface, environment: WorkloadEnvironment): Promise<Workload> {
  const workload = new ReflectionWorkload(open, environment);
  await workload.ready();
  return workload;
}

interface Flight {
  readonly sizeBytes: number;
  /** How many drivers there had been when it was sent. */
  readonly drivers: number;
  /** When a later frame came back before it. */
  overtakenMicros?: number;
}

class ReflectionWorkload implements Workload {
  readonly #environment: WorkloadEnvironment;
  readonly #tally = new Tally();
  readonly #frames: ProbeFrames;
  readonly #net: NetInterface;
  /** What is awaited, by number, in the order sent; and what later frames overtook, in the order in which that was seen. */
  readonly #flights = new Map<number, Flight>();
  readonly #overtaken = new Map<number, Flight>();
  #address: Uint8Array = new Uint8Array(0);
  #mtu = mostPayloadBytes;
  #next = 0;
  /** Frames beyond the window, sent into a silence. */
  #extra = 0;
  #changedMicros: number;
  #wake: () => void = () => undefined;
  #ended: Error | undefined;
  #polling: Promise<void> = Promise.resolve();

  constructor(open: OpenInterface, environment: WorkloadEnvironment) {
    this.#environment = environment;
    this.#frames = new ProbeFrames(environment.random);
    this.#changedMicros = environment.clock.nowMicros();
    this.#net = open({
      received: (frames) => {
        for (const frame of frames) this.#received(frame);
        this.#wake();
      },
      room: () => this.#wake(),
      link: () => this.#wake(),
      ended: (reason) => {
        this.#ended = reason;
        this.#wake();
      },
    });
  }

  get totals(): Workload["totals"] {
    return this.#tally.totals;
  }

  get errors(): readonly string[] {
    return this.#tally.errors;
  }

  async ready(): Promise<void> {
    const { mac, maxMtu } = await this.#net.identity();
    this.#mtu = Math.min(mostPayloadBytes, maxMtu);
    this.#address = macToBytes(parseMac(mac)!);
    this.#polling = this.#poll();
  }

  /** Fills the window and waits until something comes back, for a moment. */
  async step(): Promise<void> {
    if (this.#ended !== undefined) this.#tally.wrong(errorText(this.#ended));
    else if (this.#net.link.up) this.#fill();
    await this.#pause();
    const silentMs = this.#sinceChangeMs();
    if (this.#flights.size >= windowFrames + this.#extra && this.#uncertain() && silentMs > quietMs * (this.#extra + 1)) this.#extra++;
    this.#giveUpOvertaken();
    if (silentMs > patienceMs) {
      if (this.#flights.size === 0 && this.#ended === undefined) this.#tally.wrong("the interface has no link");
      for (const [number, flight] of this.#flights) this.#lose(number, flight);
      this.#flights.clear();
      this.#changed();
    }
  }

  async close(): Promise<void> {
    this.#ended ??= new AirlockError("Closed", "the workload was closed");
    this.#net.close();
    this.#wake();
    await this.#polling;
  }

  /** A call that is always under way, besides the frames: what a monitor that looks at the card all the time sees. */
  async #poll(): Promise<void> {
    while (this.#ended === undefined) {
      try {
        await this.#net.statistics();
        this.#tally.totals.operations++;
      } catch (error) {
        if (this.#ended === undefined) this.#tally.wrong(errorText(error));
      }
      await sleep(this.#environment.clock, pollMs);
    }
  }

  #fill(): void {
    const { random } = this.#environment;
    const room = windowFrames + this.#extra - this.#flights.size;
    if (room <= 0) return;
    const largest = headerBytes + this.#mtu;
    const batch = Array.from({ length: room }, (_, index) => {
      const sizeBytes = leastBytes + Math.floor(random() * (largest - leastBytes + 1));
      return this.#frames.make(farEnd, this.#address, this.#next + index, sizeBytes);
    });
    if (this.#flights.size === 0) this.#changed();
    const taken = this.#net.send(batch);
    const { drivers } = this.#net.counters;
    for (const { length } of batch.slice(0, taken)) {
      this.#flights.set(this.#next++, { sizeBytes: length, drivers });
      this.#tally.totals.bytesSent += length;
    }
  }

  #received(frame: Uint8Array): void {
    const seen = this.#frames.recognise(frame);
    if (seen === undefined) return;
    if (seen === "damaged") {
      this.#tally.totals.bytesCorrupted += frame.length;
      this.#tally.wrong(`a frame of ${frame.length} bytes came back damaged`);
      return;
    }
    const flight = this.#flights.get(seen.number) ?? this.#overtaken.get(seen.number);
    // Sent again by a second driver, and this is the second copy.
    if (flight === undefined) return;
    this.#changed();
    this.#extra = 0;
    if (flight.sizeBytes !== seen.sizeBytes) {
      this.#tally.totals.bytesCorrupted += frame.length;
      this.#tally.wrong(`frame ${seen.number} came back with ${seen.sizeBytes} bytes instead of ${flight.sizeBytes}`);
    }
    if (this.#flights.delete(seen.number)) this.#overtake(seen.number, flight.drivers);
    else this.#overtaken.delete(seen.number);
    this.#tally.totals.operations++;
  }

  /**
   * A frame sent under that driver is back. What was sent before it and is not back was lost with an earlier driver, because what
   * that one had would have been sent again first; or this driver has it still.
   */
  #overtake(number: number, drivers: number): void {
    for (const [earlier, flight] of this.#flights) {
      if (earlier > number) break;
      this.#flights.delete(earlier);
      flight.overtakenMicros = this.#changedMicros;
      this.#overtaken.set(earlier, flight);
    }
    for (const [earlier, flight] of this.#overtaken) {
      if (flight.drivers >= drivers) continue;
      this.#overtaken.delete(earlier);
      this.#lose(earlier, flight);
    }
  }

  #giveUpOvertaken(): void {
    const limitMicros = this.#environment.clock.nowMicros() - overtakenMs * 1_000;
    for (const [number, flight] of this.#overtaken) {
      if (flight.overtakenMicros! > limitMicros) return;
      this.#overtaken.delete(number);
      this.#lose(number, flight);
    }
  }

  /** A frame will not come back; it is an error unless a driver's death explains it. */
  #lose(number: number, { sizeBytes, drivers }: Flight): void {
    this.#tally.totals.bytesLost += sizeBytes;
    if (drivers === this.#net.counters.drivers) this.#tally.wrong(`frame ${number} never came back, and no driver died meanwhile`);
  }

  /** Whether what is under way may have died with a driver. */
  #uncertain(): boolean {
    const { drivers } = this.#net.counters;
    for (const flight of this.#flights.values()) return flight.drivers !== drivers;
    return false;
  }

  #sinceChangeMs(): number {
    return (this.#environment.clock.nowMicros() - this.#changedMicros) / 1000;
  }

  #changed(): void {
    this.#changedMicros = this.#environment.clock.nowMicros();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#environment.clock.setTimer(stepMs * 1000, () => this.#wake());
      this.#wake = () => {
        cancel();
        this.#wake = () => undefined;
        resolve();
      };
    });
  }
}
