/** The serial workload: sends random lines to a peer that echoes them, and accounts for every byte that comes back. */
import { errorText } from "../../api/errors.ts";
import { type Workload, type WorkloadEnvironment, Tally, sleep } from "../workload.ts";
import type { SerialPort } from "./port.ts";

const baudRate = 115_200;
const leastLineBytes = 8;
const mostLineBytes = 48;

/** After a told loss the rest of a line is awaited until the wire was silent this long; then a marker is sent after it. */
const quietMs = 20;

/** A marker is found in what comes back by these many random bytes. */
const markerBytes = 8;

/** A line that is neither echoed nor told lost within this time was lost silently: the one thing that must not happen. */
const patienceMs = 10_000;

/** How often the reader is looked at while a line is under way. */
const pollMs = 1;

export async function createWorkload(port: SerialPort, environment: WorkloadEnvironment): Promise<Workload> {
  const workload = new EchoWorkload(port, environment);
  await port.configure({ baudRate });
  return workload;
}

class EchoWorkload implements Workload {
  readonly #port: SerialPort;
  readonly #environment: WorkloadEnvironment;
  readonly #tally = new Tally();
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  readonly #polling: Promise<void>;
  #received: number[] = [];
  #told = false;
  #lastChangeMicros = 0;
  #ended = false;

  constructor(port: SerialPort, environment: WorkloadEnvironment) {
    this.#port = port;
    this.#environment = environment;
    this.#writer = port.writable.getWriter();
    port.onNotice((notice) => {
      if (notice.kind !== "lost" && notice.kind !== "uncertain" && notice.kind !== "restarted") return;
      this.#told = true;
      this.#changed();
    });
    this.#reading = this.#read();
    this.#polling = this.#poll();
  }

  get totals(): Workload["totals"] {
    return this.#tally.totals;
  }

  get errors(): readonly string[] {
    return this.#tally.errors;
  }

  async step(): Promise<void> {
    const line = this.#randomLine();
    this.#received = [];
    this.#told = false;
    try {
      const sent = [...line];
      await this.#send(line);
      await this.#settled(() => this.#received.length >= line.length);
      // After a loss nobody knows whether the rest is still on its way: bytes that are echoed after it tell.
      for (let marker = line; this.#told && !endsWith(this.#received, marker); ) {
        if (this.#sinceChangeMs() > patienceMs) break;
        marker = this.#randomBytes(markerBytes);
        sent.push(...marker);
        await this.#send(marker);
        const awaited = marker;
        await this.#settled(() => endsWith(this.#received, awaited));
      }
      this.#account(sent);
      this.#tally.totals.operations++;
    } catch (error) {
      this.#tally.wrong(errorText(error));
      await sleep(this.#environment.clock, pollMs);
    }
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#port.close();
    await Promise.all([this.#reading, this.#polling]);
  }

  async #send(bytes: Uint8Array): Promise<void> {
    this.#changed();
    await this.#writer.write(bytes);
    this.#tally.totals.bytesSent += bytes.length;
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#port.readable) {
        this.#received.push(...chunk);
        this.#changed();
      }
    } catch (error) {
      if (!this.#ended) this.#tally.wrong(`the reader ended: ${errorText(error)}`);
    }
  }

  /** A second call that is always under way: what a client that looks at its modem all the time sees. */
  async #poll(): Promise<void> {
    while (!this.#ended) {
      try {
        await this.#port.getSignals();
        this.#tally.totals.operations++;
      } catch (error) {
        if (!this.#ended) this.#tally.wrong(errorText(error));
      }
      await sleep(this.#environment.clock, pollMs);
    }
  }

  /** Waits until the echo is complete, or the wire is quiet after a told loss, or patience ends. */
  async #settled(isComplete: () => boolean): Promise<void> {
    while (!isComplete() && this.#sinceChangeMs() < patienceMs) {
      if (this.#told && this.#sinceChangeMs() > quietMs) return;
      await sleep(this.#environment.clock, pollMs);
    }
  }

  #account(sent: readonly number[]): void {
    const { totals } = this.#tally;
    const common = commonSubsequence(sent, this.#received);
    const lost = sent.length - common;
    totals.bytesLost += lost;
    totals.bytesCorrupted += this.#received.length - common;
    if (lost > 0 && !this.#told) this.#tally.wrong(`${lost} of ${sent.length} bytes were lost without a word`);
  }

  #sinceChangeMs(): number {
    return (this.#environment.clock.nowMicros() - this.#lastChangeMicros) / 1000;
  }

  #changed(): void {
    this.#lastChangeMicros = this.#environment.clock.nowMicros();
  }

  /** No byte occurs twice in a line, so that a byte that is missing, doubled or out of place always shows. */
  #randomLine(): Uint8Array {
    const { random } = this.#environment;
    return this.#randomBytes(leastLineBytes + Math.floor(random() * (mostLineBytes - leastLineBytes + 1)));
  }

  #randomBytes(length: number): Uint8Array {
    const { random } = this.#environment;
    const first = Math.floor(random() * 256);
    const step = 2 * Math.floor(random() * 128) + 1;
    return Uint8Array.from({ length }, (_, index) => (first + index * step) & 0xff);
  }
}

function endsWith(bytes: readonly number[], end: Uint8Array): boolean {
  return bytes.length >= end.length && end.every((byte, index) => bytes[bytes.length - end.length + index] === byte);
}

/** Length of the longest common subsequence: what arrived in its order. */
export function commonSubsequence(sent: ArrayLike<number>, received: ArrayLike<number>): number {
  let row = new Array<number>(received.length + 1).fill(0);
  for (let i = 0; i < sent.length; i++) {
    const next = [0];
    for (let j = 0; j < received.length; j++) next.push(sent[i] === received[j] ? row[j]! + 1 : Math.max(row[j + 1]!, next[j]!));
    row = next;
  }
  return row.at(-1)!;
}
