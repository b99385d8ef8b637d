/** Runs a host once on nothing: what V8 compiles at first use is compiled before a driver has to come back in a hurry. */
import { realClock } from "../api/clock.ts";
import type { DriverSetup } from "../api/grants.ts";
import { RecordKind, putRecord, recordBytes } from "../api/records.ts";
import { ChannelWord, createChannel, createDoorbell } from "../bus/channel.ts";
import { ChannelPort } from "../bus/channel-port.ts";
import type { BusGrant } from "../bus/platform.ts";
import type { SandboxTier } from "../sandbox/sandbox.ts";
import { FlightRecorder } from "../trace/flight-recorder.ts";
import type { HostLimits } from "./driver-host.ts";
import { DriverInstance } from "./driver-instance.ts";
import { openGuestRegions } from "./guest-regions.ts";
import { MessageRing, createMessageRing } from "./message-ring.ts";

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

const setup: DriverSetup = { driver: "rehearsal", windows: [{ name: "none", sizeBytes: 8, rights: "readwrite", widths: [8] }], irqs: [{ name: "none" }], dma: [], memoryBytes: 0, options: {} };
const grant: BusGrant = { ...setup, dma: [], generation: 0n, device: "none", limits: { stormPerSecond: 1, ackMs: 1 } };
const slots = 16;

/** Turns: by then V8 has compiled what every turn of a host runs. */
const turns = 400;

/** Saves a fresh thread some ms of its first start, and a slow first half second. Nothing of it is left when it resolves. */
export async function rehearse(tier: SandboxTier, limits: HostLimits): Promise<void> {
  const channel = createChannel();
  const words = new Int32Array(channel);
  const recorder = FlightRecorder.create(slots, () => realClock.nowMicros());
  const ring = new MessageRing(createMessageRing());
  const instance = new DriverInstance(await tier.load(script, "rehearsal.js", limits), {
    setup, limits, memory: openGuestRegions(grant, undefined), clock: realClock, trace: recorder, port: new ChannelPort({ channel, doorbell: createDoorbell(), grant }),
    link: { output: (records) => void ring.put(records), log: () => undefined, failed: () => undefined, turn: () => undefined },
  });
  const record = new Uint8Array(recordBytes(0));
  putRecord(record, 0, RecordKind.request, 0, 0, new Uint8Array(0));
  for (let turn = 1; turn <= turns; turn++) {
    // No hardware listens to this channel: the turn's read finds its answer there, and the ring is empty again.
    words[ChannelWord.completed] = turn;
    words[ChannelWord.tail] = words[ChannelWord.head]!;
    if (turn === 1) instance.start();
    else instance.deliver(record);
    instance.pollIrqs();
    ring.take();
  }
  instance.dispose();
}
