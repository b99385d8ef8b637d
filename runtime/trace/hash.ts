/** A trace sink that hashes: two runs of a deterministic world with equal digests did the same things at the same times. */
import { createHash } from "node:crypto";
import type { TraceKind, TraceSink } from "./entry.ts";

const entryBytes = 48;
/** Entries hashed at once; a call into the hash costs more than one entry does. */
const entriesPerUpdate = 1024;

/** SHA-256 over every entry in order, with its time. Values are hashed as they come, not cut to 32 bits. */
export class HashSink implements TraceSink {
  readonly #nowMicros: () => number;
  readonly #hash = createHash("sha256");
  readonly #block = new Uint8Array(entryBytes * entriesPerUpdate);
  readonly #doubles = new Float64Array(this.#block.buffer);
  #used = 0;
  #recorded = 0;

  constructor(nowMicros: () => number) {
    this.#nowMicros = nowMicros;
  }

  /** Number of entries so far. */
  get recorded(): number {
    return this.#recorded;
  }

  record(kind: TraceKind, a: number, b: number, c: number, d: number): void {
    const at = this.#used / 8;
    const doubles = this.#doubles;
    doubles[at] = this.#nowMicros();
    doubles[at + 1] = kind;
    doubles[at + 2] = number(a);
    doubles[at + 3] = number(b);
    doubles[at + 4] = number(c);
    doubles[at + 5] = number(d);
    this.#used += entryBytes;
    this.#recorded++;
    if (this.#used === this.#block.length) this.#flush();
  }

  /** Hexadecimal digest of the entries so far; recording goes on afterwards. */
  digest(): string {
    this.#flush();
    return this.#hash.copy().digest("hex");
  }

  #flush(): void {
    this.#hash.update(this.#block.subarray(0, this.#used));
    this.#used = 0;
  }
}

/** NaN has many bit patterns and -0 two; what is not a number must not throw. */
function number(value: number): number {
  return typeof value === "number" && value === value ? value + 0 : 0;
}
