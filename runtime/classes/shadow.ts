/** The Shadow interface: the long-lived part of a class that clients talk to and drivers are attached below. */
import type { AirlockError } from "../api/errors.ts";
import type { Clock } from "../api/clock.ts";
import type { Failure } from "../api/failure.ts";
import type { ClassContract } from "../api/contract.ts";
import type { MessageRecord } from "../api/records.ts";

/** The current generation of the driver, as a shadow sends to it. */
export interface DriverPort {
  /** Told to clients that want to know of restarts; a shadow that is not given it counts its drivers. */
  readonly generation?: bigint;
  /** Sends one record. False when the driver's queue is full: the shadow keeps it and sends again later. */
  send(kind: number, id: number, tag: number, payload: Uint8Array): boolean;
}

/**
 * Memory that the driver's device reaches and its sandbox does not: where a class keeps what its requests carry. It stays the
 * same over restarts, mapped for the device while a generation is connected. A driver can make its device write anywhere in
 * it at any time: copy out, then check, then use the copy.
 */
export interface DmaBuffers {
  /** The device's address of byte 0; page-aligned. */
  readonly iova: number;
  readonly sizeBytes: number;
  /** Copies bytes in. */
  write(offset: number, bytes: Uint8Array): void;
  /** Copies bytes out. */
  read(offset: number, into: Uint8Array): void;
}

/** What a shadow is given when its machine is brought up. */
export interface ShadowEnvironment {
  readonly driver: string;
  /** The class's part of the driver's DMA memory; undefined when its manifest asks for none. */
  readonly buffers?: DmaBuffers;
  /** The machine file's `shadow` section of this driver, for the class to check. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly clock: Clock;
  /** The shadow found the current generation at fault: a missed deadline. The supervisor takes it from there. */
  fail(failure: Failure): void;
  /**
   * Takes, in this call, what the hardware's side has to say about the current generation and nobody has heard yet: a device whose
   * driver aimed it at foreign memory ends its command with an error, and that is not the client's. May detach the shadow.
   * Whether the generation has failed by now, or is about to be found at fault.
   */
  isAccused?(): boolean;
  /** A client call was answered by the driver or from the log; ends the recovery time of the last failure. */
  served(operation: string): void;
  /** For `airlock logs` and the flight recorder. */
  note(text: string): void;
}

export type ShadowState =
  /** The driver is well; calls go straight through. */
  | "passive"
  /** The driver is away; the shadow answers, keeps or waits. */
  | "active"
  /** The driver is held or stopped; calls fail with DriverUnavailable. */
  | "unavailable"
  | "closed";

/**
 * One device's shadow. The supervisor calls attach, detach and giveUp; nothing here ever calls a driver directly.
 * Every call a client makes settles exactly once, also across any number of restarts.
 */
export interface Shadow {
  readonly contract: ClassContract;
  readonly state: ShadowState;
  /**
   * A new generation is ready: replays the logged configuration, sends again what may be repeated, goes passive.
   * Resolves when passive, or false when detached before that.
   */
  attach(port: DriverPort): Promise<boolean>;
  /** The generation is gone. At once: nothing it sends later is taken. */
  detach(): void;
  /** The supervisor gave up, or was told to stop: pending and later calls fail with `error` until the next attach. */
  giveUp(error: AirlockError): void;
  /** A record from the attached generation, framing checked, contents hostile. Returns why it breaks the contract. */
  receive(record: MessageRecord): string | undefined;
  /** The platform says that the device asked for the machine's reset: a watchdog ran out. */
  resetRequested?(): void;
  /** Asks the driver something that changes nothing, whoever has its device open. For fault injection. */
  probe(): Promise<void>;
  /** Fails what is pending with Closed; idempotent. */
  close(): void;
}

/** What each `classes/<class>/shadow.ts` exports as `createShadow`. */
export type CreateShadow<S extends Shadow = Shadow> = (environment: ShadowEnvironment) => S;
