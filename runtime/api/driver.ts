/** What driver authors import as "airlock/driver": defineDriver and the types of everything a driver is given. */
import type { Args, ClassContract, EventName, EventPayload, OperationName, QueueName, Reply } from "./contract.ts";
import type { Rights } from "./grants.ts";

export type { ClassContract } from "./contract.ts";
export { AirlockError, isAirlockError } from "./errors.ts";
export { highWord, joinWords, lowWord } from "./words.ts";

/**
 * A granted range of device registers. Offsets are bytes from its start, values unsigned and little endian.
 * Writes are posted and cost next to nothing; a read completes after every earlier write, so it also flushes.
 * Throws CapabilityViolation outside the window, at a width or alignment the device does not decode, or without the
 * right; CapabilityRevoked after revocation. Either ends the driver: neither reaches the device.
 */
export interface RegisterWindow {
  readonly name: string;
  readonly sizeBytes: number;
  readonly rights: Rights;
  read8(offset: number): number;
  read16(offset: number): number;
  read32(offset: number): number;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
}

/**
 * A granted interrupt line. When it is raised the driver is told once and the line stays masked until `ack`, so the
 * order is: find and clear the cause at the device, then `ack`. A line that is not acked in time is a failure.
 */
export interface IrqLine {
  readonly name: string;
  /** Sets the handler and opens the line; one handler per line. A promise it returns is awaited for errors. */
  attach(handler: () => void | Promise<void>): void;
  /** Tells the controller that this driver has serviced the line. */
  ack(): void;
  mask(): void;
  unmask(): void;
  /** Resolves at the next interrupt of this line; the line must not have a handler. */
  wait(): Promise<void>;
}

/**
 * DMA memory: the driver and its device both reach it, the driver as bytes, the device at `iova`. Little endian on every
 * machine Airlock runs on. What the device writes may change at any time: copy, then check, then use the copy.
 *
 * Where the platform can, both see the same pages at once. Where it can't, they see each other's writes at `sync` calls only,
 * so a correct driver makes them: `syncForDevice` before a register write that tells the device to look, `syncForCpu` before
 * it reads what the device may have written. They cost next to nothing where they are not needed.
 */
export interface DmaMemory {
  readonly name: string;
  /** The address of byte 0 for the device; page-aligned. */
  readonly iova: number;
  readonly sizeBytes: number;
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words. */
  readonly words: Uint32Array;
  syncForDevice(offset: number, sizeBytes: number): void;
  syncForCpu(offset: number, sizeBytes: number): void;
}

/**
 * The driver's end of one of its class's queues. Requests come in batches, completions leave in batches: all that were
 * completed by the end of a turn go together. Each request is completed exactly once, in any order.
 */
export interface DriverQueue {
  /**
   * Sets the handler. `words` holds `count` entries of the queue's request layout one after the other, and is only valid
   * during the call. A promise it returns is awaited for errors.
   */
  onRequests(handler: (words: Uint32Array, count: number) => void | Promise<void>): void;
  /** Completes a request: the words of the queue's completion layout, `tag` first; those left out are 0. */
  complete(tag: number, word1?: number, word2?: number, word3?: number): void;
}

/** The machine's clock, the only time a driver has. Deterministic worlds run it at their own pace. */
export interface DriverClock {
  /** Microseconds since an arbitrary start; never goes back. */
  nowMicros(): number;
  /** Calls `callback` once after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, callback: () => void | Promise<void>): () => void;
  /** Resolves after `delayMs`. */
  sleep(delayMs: number): Promise<void>;
}

/** The driver's log: `airlock logs`. Limited in rate; a flood is a failure. */
export interface DriverLog {
  debug(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

/** Everything a driver instance is given. What its machine file did not grant is not here. */
export interface DriverContext<C extends ClassContract> {
  /** The driver's name in the machine file. */
  readonly name: string;
  /** The granted window of that manifest name; throws CapabilityViolation when it was not granted. */
  window(this: void, name: string): RegisterWindow;
  /** The granted line of that manifest name; throws CapabilityViolation when it was not granted. */
  irq(this: void, name: string): IrqLine;
  /** The granted DMA memory of that manifest name; throws CapabilityViolation when it was not granted. */
  dma(this: void, name: string): DmaMemory;
  /** The driver's end of that queue of its class. */
  queue(this: void, name: QueueName<C>): DriverQueue;
  /** Resolves with the name of the first of these lines that is raised. */
  waitAny(this: void, ...lines: IrqLine[]): Promise<string>;
  readonly clock: DriverClock;
  readonly log: DriverLog;
  /** The hard memory limit of this sandbox. */
  readonly memory: { readonly limitBytes: number };
  /** The driver's `options` from the machine file, as its manifest declares them. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** Tells the clients of this device something: an event of the class contract. */
  emit<K extends EventName<C>>(this: void, event: K, payload: EventPayload<C, K>): void;
}

/** The operations of a class as a driver implements them. What they throw or reject with is a failure of the driver. */
export type DriverOperations<C extends ClassContract> = {
  [K in OperationName<C>]: (args: Args<C, K>) => Reply<C, K> | Promise<Reply<C, K>>;
};

export type DriverInit<C extends ClassContract> = (context: DriverContext<C>) => DriverOperations<C> | Promise<DriverOperations<C>>;

export interface DriverDefinition<C extends ClassContract = ClassContract> {
  readonly contract: C;
  readonly init: DriverInit<C>;
}

/**
 * Defines a driver; the default export of a driver package's entry file.
 * `init` runs at every start with fresh state: it brings the device to a known state and returns the operations.
 *
 * @example
 * import { defineDriver } from "airlock/driver";
 * import { rtc } from "airlock/driver/rtc";
 * export default defineDriver(rtc, ({ window }) => { const cmos = window("cmos"); return { ... }; });
 */
export function defineDriver<C extends ClassContract>(contract: C, init: DriverInit<C>): DriverDefinition<C> {
  return { contract, init };
}
