/** A volume: what the block class gives to programs, a disk that stays while its drivers come and go. */

/** What a volume is. Its size never changes while it is open. */
export interface VolumeInfo {
  /** Offsets and sizes of every call are multiples of this. */
  readonly blockBytes: number;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** A write is safe from a power cut only after `flush`, or when it was made with `fua`. */
  readonly volatileCache: boolean;
  readonly writeZeroes: boolean;
  readonly discard: boolean;
  /** Model and serial number. */
  readonly label: string;
}

/**
 * Calls may overlap; their number and bytes are limited, and a call beyond the limits waits its turn. Offsets and sizes in
 * bytes; sizes up to 32 MiB, 0 is allowed. Each call settles exactly once, also across any number of restarts.
 * All reject with AirlockError InvalidArgument (range, alignment), Unsupported (the device can't), DeviceError (the device
 * reports an error of medium or command; `fields.status` names it), HardwareLost (it is another one now), DriverUnavailable (the driver is held), QueueFull (thousands
 * of calls wait), or Closed.
 */
export interface Volume {
  /** Resolves once a driver has said what the device is; rejects with DriverUnavailable or Closed. */
  info(): Promise<VolumeInfo>;
  /**
   * The bytes are the caller's own: of its buffer `into`, which has that size, or a new one. After a rejection the buffer must not be
   * used again: a driver may still have the call.
   */
  read(offset: number, sizeBytes: number, into?: Uint8Array): Promise<Uint8Array>;
  /** `data` must stay unchanged until the promise resolves, and after a rejection for good: a driver may still have the call. */
  write(offset: number, data: Uint8Array, options?: { readonly fua?: boolean }): Promise<void>;
  /** Resolves when every write that had resolved before this call is on the medium. */
  flush(): Promise<void>;
  /** Makes the range read as zeroes; `mayDiscard` allows the device to deallocate it. */
  writeZeroes(offset: number, sizeBytes: number, options?: { readonly fua?: boolean; readonly mayDiscard?: boolean }): Promise<void>;
  /** Tells the device that the range's contents are not needed any more; it may keep them or not. */
  discard(offset: number, sizeBytes: number): Promise<void>;
  /** Gives the volume back; what is pending is rejected with Closed. Idempotent. */
  close(): void;
}
