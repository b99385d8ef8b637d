/** The network driver of `bench net` without sandbox, shadow and threads: its code in V8, beside the model of its device. */
import { parentPort, workerData } from "node:worker_threads";
import { mailboxBytes } from "../../api/bridge.ts";
import { VirtualClock } from "../../api/clock.ts";
import { type DriverSetup } from "../../api/grants.ts";
import { RecordKind, putRecord, readRecords, recordBytes } from "../../api/records.ts";
import { dmaPageBytes } from "../../bus/iommu.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { net } from "../../classes/net/contract.ts";
import { freeRam, createRam, openRam } from "../../native/ram.ts";
import { describeDevices } from "../../platform/sim/describe.ts";
import { findSimDevices } from "../../platform/sim/find-devices.ts";
import { SimBackend } from "../../platform/sim/sim-backend.ts";
import type { SandboxCalls } from "../../sandbox/sandbox.ts";
import { workerTier } from "../../sandbox/worker/tier.ts";
import { transmitBatch, upRequest } from "./net-feeder.ts";

export interface BareWork {
  readonly code: string;
  readonly options: DriverSetup["options"];
  readonly windowBytes: number;
  readonly queuesBytes: number;
  readonly cases: readonly { readonly frameBytes: number; readonly batch: number }[];
  readonly ms: number;
  /** Frames under way at most. */
  readonly window: number;
}

const queuesIova = 0x10_0000;
const buffersIova = 0x20_0000;
/** Device time that passes per batch, so that its interrupts, which are limited in rate, keep coming. */
const stepMicros = 100;
/** Steps after which an answer is missing. */
const mostSteps = 100_000;

const work = workerData as BareWork;

async function measure(): Promise<number[]> {
  const clock = new VirtualClock();
  const ram = createRam(64 * 2 ** 20, dmaPageBytes);
  const described: readonly DeviceDescription[] = await describeDevices([
    { name: "nic", compatible: ["e1000"], windows: {}, irqs: {}, options: { peer: "host" }, pci: { address: "00:05.0" } },
  ]);
  const access = openRam(ram);
  const backend = new SimBackend({ devices: await findSimDevices(described), epochMs: 0, clock, ram: access, directory: "." });
  const driver = new BareDriver(backend, clock, (offset, size) => new Uint8Array(access.view(dmaPageBytes + offset, size)!.buffer, access.view(dmaPageBytes + offset, size)!.byteOffset, size));
  try {
    await driver.start();
    const results: number[] = [];
    for (const { frameBytes, batch } of work.cases) results.push(await driver.transmit(frameBytes, batch));
    return results;
  } finally {
    backend.close();
    freeRam(ram);
  }
}

/** Passes before promises of the driver get their turn. */
const passesPerTurn = 64;

function turn(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}

class BareDriver {
  readonly #backend: SimBackend;
  readonly #clock: VirtualClock;
  readonly #bytes: (offset: number, sizeBytes: number) => Uint8Array;
  readonly #pending: (() => void)[] = [];
  #turn: (records: Uint8Array) => void = () => undefined;
  #ready = false;
  #replies = 0;
  #completed = 0;

  constructor(backend: SimBackend, clock: VirtualClock, bytes: (offset: number, sizeBytes: number) => Uint8Array) {
    this.#backend = backend;
    this.#clock = clock;
    this.#bytes = bytes;
    const domain = backend.openDomain("nic", (fault) => { throw new Error(`DMA fault at ${fault.iova}`); })!;
    domain.map({ name: "queues", iova: queuesIova, ramOffset: dmaPageBytes, sizeBytes: work.queuesBytes, rights: "readwrite", guest: true });
    domain.map({ name: "buffers", iova: buffersIova, ramOffset: dmaPageBytes + work.queuesBytes, sizeBytes: 2 ** 20, rights: "readwrite", guest: false });
    backend.setBusMaster("nic", true);
  }

  async start(): Promise<void> {
    const loaded = await workerTier.load(work.code, "bare.js", { memoryBytes: 64 * 2 ** 20, turnMs: 60_000, stackBytes: 256 * 1024 });
    const sandbox = loaded.start(this.#calls(), [{ sizeBytes: work.queuesBytes, layOver: () => false, map: () => undefined }]);
    this.#turn = (records) => sandbox.turn(records);
    this.#put(RecordKind.init, 0, 0);
    await this.#until(() => this.#ready);
    this.#put(RecordKind.request, net.operations.configure.id, 1, upRequest());
    await this.#until(() => this.#replies > 0);
  }

  /** Frames per second. */
  async transmit(frameBytes: number, batch: number): Promise<number> {
    const start = performance.now();
    const before = this.#completed;
    let sent = before;
    while (performance.now() - start < work.ms) {
      for (let pass = 0; pass < passesPerTurn; pass++) {
        while (sent - this.#completed + batch <= work.window) {
          this.#put(RecordKind.requests, net.queues.transmit.id, 0, transmitBatch(1 + (sent % 0x4000_0000), batch, buffersIova, frameBytes));
          sent += batch;
        }
        this.#clock.advance(stepMicros);
        this.#run();
      }
      await turn();
    }
    await this.#until(() => this.#completed >= sent);
    return ((this.#completed - before) / (performance.now() - start)) * 1000;
  }

  async #until(done: () => boolean): Promise<void> {
    for (let steps = 0; !done(); steps++) {
      if (steps > mostSteps) throw new Error("the driver does not answer");
      await turn();
      this.#clock.advance(stepMicros);
      this.#run();
    }
  }

  #run(): void {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) next();
  }

  #put(kind: number, id: number, tag: number, payload: Uint8Array = new Uint8Array(0)): void {
    const record = new Uint8Array(recordBytes(payload.length));
    putRecord(record, 0, kind, id, tag, payload);
    if (record.length > mailboxBytes) throw new RangeError("a batch is larger than the mailbox");
    this.#turn(record);
  }

  #calls(): SandboxCalls {
    const space = this.#backend.space("nic", "bar0")!;
    const line = this.#backend.line(this.#backend.irqNumber("nic", "intx")!).attach({
      raise: () => this.#pending.push(() => this.#put(RecordKind.irq, 0, 0)), storm: () => undefined, unacked: () => undefined,
    }, { stormPerSecond: Infinity, ackMs: 1e6 });
    const timers = new Map<number, () => void>();
    const setup: DriverSetup = {
      driver: "nic", windows: [{ name: "bar0", sizeBytes: work.windowBytes, rights: "readwrite", widths: [32] }], irqs: [{ name: "intx" }], memoryBytes: 64 * 2 ** 20,
      dma: [{ name: "queues", iova: queuesIova, sizeBytes: work.queuesBytes }], options: work.options,
    };
    let answer = 0;
    return {
      read: (_window, offset, width) => space.read(offset, width),
      postRead: (_window, offset, width) => { answer = space.read(offset, width); },
      takeRead: () => answer,
      write: (_window, offset, width, value) => space.write(offset, width, value),
      irq: (_line, op) => [() => line.unmask(), () => line.mask(), () => line.unmask(), () => line.ack()][op]!(),
      copy: (_region, offset, bytes, toDevice) => {
        const device = this.#bytes(offset, bytes.length);
        if (toDevice) device.set(bytes);
        else bytes.set(device);
      },
      log: () => undefined, nowMicros: () => this.#clock.nowMicros(), setup: () => JSON.stringify(setup),
      timer: (id, delayMicros) => {
        timers.get(id)?.();
        if (delayMicros >= 0) timers.set(id, this.#clock.setTimer(delayMicros, () => this.#pending.push(() => this.#put(RecordKind.timer, 0, id))));
      },
      output: (bytes) => {
        const framed = readRecords(bytes);
        for (const { kind, payload } of framed.ok ? framed.records : []) {
          if (kind === RecordKind.ready) this.#ready = true;
          else if (kind === RecordKind.reply) this.#replies++;
          else if (kind === RecordKind.completions) this.#completed += payload.length / 4 / net.queues.transmit.completion.words;
        }
      },
      failed: ({ message }) => { throw new Error(`the driver failed: ${message}`); },
    };
  }
}

parentPort!.postMessage(await measure());
