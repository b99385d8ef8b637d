/** The device bench: what a device-level test may do to a device, whatever platform it lives on. */

/**
 * Documented ways in which a platform's device differs from its data sheet. The suite then asserts the platform's behaviour
 * and says so in the test's name. Our own models declare none.
 */
export const differences = {
  "rtc-update-instant": "the update cycle takes no time: UIP falls at the second's turn, and time bytes are never off the bus",
  "rtc-periodic-needs-enable": "PF is set only while PIE is",
  "rtc-divider-edges": "the first periodic edge comes at another phase of the divider than half a period",
  "rtc-century-counts": "the byte at 0x32 counts centuries, and address 0x37 is another name for it",
  "rtc-no-daylight-savings": "DSE is stored and changes nothing",
  "rtc-periodic-ignores-divider": "the periodic interrupt goes on while the divider is held in reset",
  "rtc-weekday-follows-date": "the weekday is computed from the date",
  "uart-transmit-instant": "a transmitted character takes no time, whatever the divisor",
  "uart-receive-instant": "a received character takes no time, and the far end waits while the receiver is full",
  "uart-out2-does-not-gate": "OUT2 is set at reset, and the interrupt pin depends neither on it nor on loopback",
  "uart-loopback-no-deltas": "loopback shows modem inputs without noting their changes",
  "uart-eight-bits": "characters pass whole whatever the word length",
  "uart-prompt-empty": "THRE never waits for a character time after a single character in FIFO mode",
} as const;

export type Difference = keyof typeof differences;

/** One device, powered on for one test. Every method may be asynchronous, so that the device may be in another process. */
export interface DeviceBench {
  /** An 8-bit access to a window of the device, by the window's name. */
  read8(window: string, offset: number): number | Promise<number>;
  write8(window: string, offset: number, value: number): void | Promise<void>;
  /** Moves device time. Nothing else does: accesses take no device time. */
  advanceMicros(micros: number): void | Promise<void>;
  /** The level of an interrupt output, by resource name. */
  irqLevel(name: string): boolean | Promise<boolean>;
  /** UART: the far end sends these bytes; resolves when they are in the receiver or on a wire that only device time moves. */
  sendToPort(bytes: Uint8Array): void | Promise<void>;
  /** UART: what has arrived at the far end since the last call: all that the device time so far allows. */
  takeFromPort(): Uint8Array | Promise<Uint8Array>;
  /** UART, where the platform can: makes the far end drive its modem lines. */
  setModemInputs?(signals: { cts: boolean; dsr: boolean; ri: boolean; dcd: boolean }): void | Promise<void>;
  /** UART, where the platform can: a break, or damage to the next character sent. */
  disturb?(kind: "break" | "framing" | "parity"): void | Promise<void>;
  /** UART, where the platform can: what the port drives. */
  outputs?(): { dtr: boolean; rts: boolean; break: boolean } | Promise<{ dtr: boolean; rts: boolean; break: boolean }>;
  /** Powers the device off; the test fails when anything of it is left. */
  close(): void | Promise<void>;
}

export interface BenchOptions {
  /** Civil time at power-on for a device with a calendar, milliseconds since the Unix epoch. */
  readonly epochMs: number;
}

/** One platform's way to make benches. */
export interface BenchFactory {
  /** Shown in test names: "sim", "qemu". */
  readonly platform: string;
  readonly differences: ReadonlySet<Difference>;
  /** Whether `disturb`, `setModemInputs` and `outputs` are there. */
  readonly canDriveWire: boolean;
  open(options: BenchOptions): DeviceBench | Promise<DeviceBench>;
}

/** Ends a test's name where this platform's device is known to differ from the data sheet; empty elsewhere. */
export function differs(factory: BenchFactory, difference: Difference): string {
  return factory.differences.has(difference) ? ` [${factory.platform} differs: ${differences[difference]}]` : "";
}

/** Runs `body` on a device powered on for it, and powers it off whatever happens. */
export async function withBench<T>(factory: BenchFactory, options: BenchOptions, body: (bench: DeviceBench) => Promise<T>): Promise<T> {
  const bench = await factory.open(options);
  try {
    return await body(bench);
  } finally {
    await bench.close();
  }
}
