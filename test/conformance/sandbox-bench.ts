/** A test bench for one sandbox: its calls recorded, its time in the test's hand, its records packed and unpacked. */
import path from "node:path";
import { AirlockError } from "../../runtime/api/errors.ts";
import type { DriverSetup } from "../../runtime/api/grants.ts";
import { type MessageRecord, RecordKind, putRecord, readRecords, recordBytes } from "../../runtime/api/records.ts";
import { serial } from "../../runtime/classes/serial/contract.ts";
import { bundleDriver } from "../../runtime/host/bundle.ts";
import type { DriverBundle } from "../../runtime/host/driver-host.ts";
import { moduleProbe } from "../fixtures/module-probe.ts";
import type { GuestFailure, GuestRegion, LoadedSandbox, Sandbox, SandboxCalls, SandboxLimits, SandboxTier, TierName } from "../../runtime/sandbox/sandbox.ts";

export const benchLimits: SandboxLimits = { memoryBytes: 8 * 1024 * 1024, turnMs: 200, stackBytes: 128 * 1024 };

export const fixturesDir = path.join(import.meta.dirname, "../fixtures/drivers");

const probes = new Map<TierName, Promise<DriverBundle>>();

/** The sandbox-probe driver for this tier, made once. As a module it counts its steps, so that the tier ends its loops by itself. */
export function probeBundle(tier: TierName): Promise<DriverBundle> {
  let probe = probes.get(tier);
  if (probe === undefined) probes.set(tier, (probe = tier === "wasm" ? moduleProbe({ isCounted: true, checksNull: false }) : bundleDriver(path.join(fixturesDir, "sandbox-probe"), "src/driver.ts")));
  return probe;
}

/** What a guest did, and the one register window `registers` (8 bytes) and line `line` that it has. */
export class SandboxBench {
  readonly setup: DriverSetup;
  readonly outputs: MessageRecord[] = [];
  readonly malformed: string[] = [];
  readonly logs: [level: number, text: string][] = [];
  readonly irqs: [line: number, op: number][] = [];
  readonly timers: [id: number, delayMicros: number][] = [];
  readonly failures: GuestFailure[] = [];
  readonly accesses: unknown[][] = [];
  readonly registers = new Uint8Array(8);
  /** DMA memory the guest is started with; what the device sees of it, and what was copied between the two. */
  regions: readonly GuestRegion[] = [];
  readonly device = new Uint8Array(8192);
  readonly copies: [region: number, offset: number, sizeBytes: number, toDevice: boolean][] = [];
  micros = 1_000_000;
  sandbox!: Sandbox;

  constructor(options: DriverSetup["options"] = {}, dma: DriverSetup["dma"] = []) {
    this.setup = {
      driver: "probe", memoryBytes: benchLimits.memoryBytes, options, irqs: [{ name: "line" }], dma,
      windows: [{ name: "registers", sizeBytes: 8, rights: "readwrite", widths: [8, 32] }],
    };
  }

  /** Loads the probe (or `bundle`) in `tier` and starts it; not yet initialized. */
  async load(tier: SandboxTier, bundle?: DriverBundle | string, limits = benchLimits): Promise<this> {
    const { code, name } = typeof bundle === "string" ? { code: bundle, name: "inline.js" } : bundle ?? await probeBundle(tier.name);
    return this.start(await tier.load(code, name, limits));
  }

  start(loaded: LoadedSandbox): this {
    this.sandbox = loaded.start(this.calls, this.regions);
    return this;
  }

  /** Loads, starts and initializes. */
  async up(tier: SandboxTier): Promise<this> {
    await this.load(tier);
    await this.deliver(RecordKind.init, 0, 0);
    return this;
  }

  #answer = 0;

  readonly calls: SandboxCalls = {
    read: (window, offset, width) => {
      this.#check(window, offset, width);
      this.accesses.push(["read", window, offset, width]);
      const view = new DataView(this.registers.buffer);
      return width === 8 ? view.getUint8(offset) : view.getUint32(offset, true);
    },
    postRead: (window, offset, width) => { this.#answer = this.calls.read(window, offset, width); },
    takeRead: () => this.#answer,
    write: (window, offset, width, value) => {
      this.#check(window, offset, width);
      this.accesses.push(["write", window, offset, width, value]);
      if (width === 8) this.registers[offset] = value;
      else new DataView(this.registers.buffer).setUint32(offset, value, true);
    },
    irq: (line, op) => { this.irqs.push([line, op]); },
    log: (level, text) => { this.logs.push([level, text]); },
    nowMicros: () => this.micros,
    timer: (id, delayMicros) => { this.timers.push([id, delayMicros]); },
    setup: () => JSON.stringify(this.setup),
    output: (bytes) => {
      const framed = readRecords(bytes);
      if (framed.ok) this.outputs.push(...framed.records);
      else this.malformed.push(framed.reason);
    },
    failed: (failure) => { this.failures.push(failure); },
    copy: (region, offset, bytes, toDevice) => {
      this.copies.push([region, offset, bytes.length, toDevice]);
      if (toDevice) this.device.set(bytes, offset);
      else bytes.set(this.device.subarray(offset, offset + bytes.length));
    },
  };

  /** One record in, and what it caused, promises of the worker tier included. */
  async deliver(kind: number, id: number, tag: number, payload: Uint8Array = new Uint8Array(0)): Promise<void> {
    this.turn(kind, id, tag, payload);
    // The worker tier's promise jobs run in this thread's own queue.
    await new Promise<void>((resolve) => { setImmediate(resolve); });
  }

  turn(kind: number, id: number, tag: number, payload: Uint8Array = new Uint8Array(0)): void {
    const record = new Uint8Array(recordBytes(payload.length));
    putRecord(record, 0, kind, id, tag, payload);
    this.sandbox.turn(record);
  }

  /** Sends the probe a command; its reply has `tag`. */
  command(text: string, tag = 7): Promise<void> {
    const { transmit } = serial.operations;
    return this.deliver(RecordKind.request, transmit.id, tag, transmit.args.encode({ data: new TextEncoder().encode(text) }));
  }

  /** Texts of the `received` events so far. */
  get said(): string[] {
    const { received } = serial.events;
    return this.outputs.filter(({ kind, id }) => kind === RecordKind.event && id === received.id).map(({ payload }) => {
      const event = received.payload.decode(payload);
      if (!event.ok) throw new Error(event.reason);
      return String.fromCharCode(...event.value.data);
    });
  }

  /** Tags of the replies so far. */
  get replies(): number[] {
    return this.outputs.filter(({ kind }) => kind === RecordKind.reply).map(({ tag }) => tag);
  }

  #check(window: number, offset: number, width: number): void {
    const grant = this.setup.windows[window];
    if (grant === undefined || !grant.widths.includes(width as never) || !(offset >= 0 && offset + width / 8 <= grant.sizeBytes)) {
      throw new AirlockError("CapabilityViolation", `probe: access of ${width} bits at ${offset} is outside registers`);
    }
  }
}
