/** Runs hosts on nothing: what V8 compiles at first use is compiled before a driver has to come back in a hurry. */
import { realClock } from "../api/clock.ts";
import type { DriverSetup } from "../api/grants.ts";
import { RecordKind, putRecord, recordBytes } from "../api/records.ts";
import { ChannelWord, DoorbellWord, createChannel, createDoorbell } from "../bus/channel.ts";
import type { BusGrant } from "../bus/platform.ts";
import type { Processors } from "../bus/processors.ts";
import type { LoadedSandbox, SandboxTier } from "../sandbox/sandbox.ts";
import { FlightRecorder } from "../trace/flight-recorder.ts";
import type { HostLimits } from "./driver-host.ts";
import type { DriverInstance } from "./driver-instance.ts";
import { assembleHost } from "./host-assembly.ts";
import { MessageRing, createMessageRing } from "./message-ring.ts";
import type { StartMessage } from "./thread-messages.ts";

/** Uses every call of the bridge that a driver uses on its way up. */
const script = `(bridge) => {
  return () => {
    JSON.parse(bridge.setup());
    bridge.write(0, 0, 8, 1);
    bridge.read(0, 0, 8);
    bridge.irq(0, 0);
    bridge.timer(1, bridge.nowMicros());
    bridge.timer(1, -1);
    new Uint8Array(bridge.outbox).fill(0, 0, 16);
    bridge.flush(16);
  };
}`;

const setup: DriverSetup = { driver: "rehearsal", windows: [{ name: "none", sizeBytes: 8, rights: "readwrite", widths: [8, 32] }], irqs: [{ name: "none" }], dma: [], memoryBytes: 0, options: {} };
const grant: BusGrant = { ...setup, dma: [], generation: 0n, device: "none", limits: { stormPerSecond: 1, ackMs: 1 } };
const slots = 16;

/** Turns: by then V8 has compiled what every turn of a host runs. */
const turns = 400;
/** Hosts made before the one that runs: from the eighth on, V8 keeps what it learns of their functions for all that come. */
const hostsBefore = 10;
/** Hosts of a module that run. */
const moduleHosts = 3;
const compileMs = 15;
/** The hosts of modules' rehearsals: V8 throws compiled code away with the last of the objects that it was compiled for. */
const kept: DriverInstance[] = [];
/** Of so many answers one comes late, and finds a port that was about to sleep. */
const answersPerLateOne = 16;

/** Saves a fresh thread some ms of its first start, and a slow first half second. Nothing of it runs when it resolves. */
export async function rehearse(tier: SandboxTier, limits: HostLimits): Promise<void> {
  if (tier.name === "wasm") return rehearseModule(limits);
  const hardware = new RehearsedHardware(createMessageRing(), createMessageRing());
  // The script reads once a turn.
  perform(await tier.load(script, "rehearsal.js", limits), tier, limits, hardware, turns, () => hardware.expectRead());
}

async function rehearseModule(limits: HostLimits): Promise<void> {
  const { rehearsalModule } = await import("../sandbox/wasm/rehearsal-module.ts");
  const rings = [createMessageRing(), createMessageRing()] as const;
  for (let host = 0; host < hostsBefore + moduleHosts; host++) {
    const hardware = new RehearsedHardware(...rings);
    kept.push(perform(rehearsalModule(() => hardware.expectRead()), { name: "wasm" }, limits, hardware, host < hostsBefore ? 1 : turns, () => undefined));
    // What V8 compiles meanwhile in threads of its own is taken over by the next.
    if (host >= hostsBefore) await new Promise((resolve) => { setTimeout(resolve, compileMs); });
  }
}

/** The other side of a host. Answers reads in the only thread there is: before they are waited for, or when the port is about to sleep. */
class RehearsedHardware implements Processors {
  readonly channel = createChannel();
  readonly doorbell = createDoorbell();
  readonly toDriver: SharedArrayBuffer;
  readonly fromDriver: SharedArrayBuffer;
  readonly #words = new Int32Array(this.channel);
  readonly #ring = new Int32Array(this.doorbell);
  #expected = 0;

  constructor(toDriver: SharedArrayBuffer, fromDriver: SharedArrayBuffer) {
    this.toDriver = toDriver;
    this.fromDriver = fromDriver;
  }

  expectRead(): void {
    this.#expected++;
    if (this.#expected % answersPerLateOne !== 0) this.#answer();
  }

  current(): number {
    this.#answer();
    return 0;
  }

  leave(): boolean {
    return true;
  }

  #answer(): void {
    this.#words[ChannelWord.completed] = this.#expected;
    this.#words[ChannelWord.tail] = this.#words[ChannelWord.head]!;
    this.#ring[DoorbellWord.sleeping] = this.#expected & 1;
  }
}

function perform(loaded: LoadedSandbox, tier: Pick<SandboxTier, "name">, limits: HostLimits, hardware: RehearsedHardware, mostTurns: number, beforeTurn: () => void): DriverInstance {
  const start: StartMessage = {
    type: "start", setup, handle: { channel: hardware.channel, doorbell: hardware.doorbell, grant }, faults: [],
    toDriver: hardware.toDriver, fromDriver: hardware.fromDriver, recorder: FlightRecorder.create(slots, () => realClock.nowMicros()).buffer,
  };
  // Limits too low for a rehearsal end it, and nothing else: what comes of the driver's own turns is not known yet.
  let failed = false;
  // A copy, because a driver's comes as one from another thread.
  const { instance } = assembleHost(loaded, structuredClone(start), { tier: tier.name, limits }, hardware, { log: () => undefined, failed: () => { failed = true; }, turn: () => undefined });
  const fromDriver = new MessageRing(start.fromDriver);
  const record = new Uint8Array(recordBytes(0));
  putRecord(record, 0, RecordKind.request, 0, 0, new Uint8Array(0));
  for (let turn = 1; turn <= mostTurns && !failed; turn++) {
    beforeTurn();
    if (turn === 1) instance.start();
    else instance.deliver(record);
    instance.pollIrqs();
    fromDriver.take();
  }
  instance.dispose();
  return instance;
}
