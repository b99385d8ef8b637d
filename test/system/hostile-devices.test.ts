/** Devices that lie: their driver fails and is held, or their client is told; nothing hangs, and everybody else in the machine works on. */
import { describe, expect, test } from "vitest";
import type { Volume } from "../../runtime/classes/block/volume.ts";
import type { NetInterface, OpenInterface } from "../../runtime/classes/net/interface.ts";
import type { WatchdogClient } from "../../runtime/classes/watchdog/client.ts";
import { layOut } from "../../drivers/nvme/layout.ts";
import type { LyingDevice } from "../fixtures/lying-device.ts";
import { type Lie, LyingMachine, page, second } from "./lying-machine.ts";

/** The I/O manager puts a driver's first region here. */
const queues = 0x10_0000;
const allOnes = 0xffff_ffff;

const layout = layOut({ name: "queues", iova: queues, sizeBytes: 128 * 1_024 } as never, { maxEntries: 1_024 } as never, 64);

/** Changes what the device says of commands of the I/O queue: result, 0, submission head and queue, status with id and phase. */
const completions = (change: (words: Uint32Array) => void) => (device: LyingDevice): void => {
  device.lies.write = (iova, bytes) => {
    const offset = iova - queues;
    if (offset < layout.ioCompletion || offset >= layout.ranges) return { iova, bytes };
    const words = new Uint32Array(bytes.buffer);
    for (let at = 0; at < words.length; at += 4) change(words.subarray(at, at + 4));
    return { iova, bytes };
  };
};

/** Changes what the device says of itself: of its controller (5.15.2.2) or of its namespace (5.15.2.1), as the driver asks for them. */
const identity = (which: "controller" | "namespace", change: (view: DataView) => void) => (device: LyingDevice): void => {
  const wanted = queues + layout.adminData + (which === "controller" ? 0 : 2 * page);
  device.lies.write = (iova, bytes) => {
    if (iova === wanted) change(new DataView(bytes.buffer));
    return { iova, bytes };
  };
};

const register = (wanted: number, change: (value: number) => number) => (device: LyingDevice): void => {
  device.lies.read = (offset, value) => (offset === wanted ? change(value) : value);
};
const vanish = (device: LyingDevice): void => {
  device.lies.read = () => allOnes;
  device.lies.write = () => undefined;
};
const isData = (iova: number): boolean => iova >= queues + 128 * 1_024;

const held = { state: "held", code: "DriverUnavailable" } as const;
const found = { ...held, kinds: ["exception"] } as const;
const late = { ...held, kinds: ["exception", "deadline"] } as const;
const unusable = { ...held, kinds: ["exception", "deadline", "protocol-violation"], fromStart: true } as const;

const disks: Readonly<Record<string, Lie>> = {
  "completes ids that there are not": { ...found, tell: completions((words) => { words[3]! |= 0xffff; }) },
  "completes id 0 again and again": { ...found, tell: completions((words) => { words[3]! &= ~0xffff; }) },
  "completes another command than it did": { ...found, tell: completions((words) => { words[3]! ^= 1; }) },
  "has a submission head beyond the queue": { ...found, tell: completions((words) => { words[2] = (words[2]! & ~0xffff) | 0xfff0; }) },
  "has fetched what was not submitted": { ...found, tell: completions((words) => { words[2] = (words[2]! & ~0xffff) | (((words[2]! & 0xffff) + 64) % 128); }) },
  "completes for another queue": { ...found, tell: completions((words) => { words[2]! ^= 0x70000; }) },
  "lies about the phase": { ...late, tell: completions((words) => { words[3]! ^= 0x1_0000; }) },
  "says that every command failed": { state: "running", code: "DeviceError", tell: completions((words) => { words[3]! |= 0x281 << 17; }) },
  "completes nothing": { ...late, tell: (device) => { device.lies.write = (iova, bytes) => (iova - queues >= layout.ioCompletion && iova - queues < layout.ranges ? undefined : { iova, bytes }); } },
  "fills the whole memory of its rings with noise": { ...held, kinds: ["exception", "deadline", "dma-fault"], tell: completions((words) => { words.set([0x1234_5678, allOnes, 0x8765_4321, allOnes]); }) },
  "sends messages without end": { ...held, kinds: ["irq-storm"], tell: (device) => device.storm("msix0", 10) },
  "is pulled out in the middle": { ...late, tell: vanish },
  "has failed": { ...late, tell: register(0x1c, (value) => value | 2) },
  "is never ready": { ...unusable, tell: register(0x1c, () => 0) },
  "is always ready": { ...unusable, tell: register(0x1c, () => 1) },
  "never was there": { ...unusable, tell: vanish },
  "has capabilities of all ones": { ...unusable, tell: register(0, () => allOnes) },
  "has blocks of one byte": { ...unusable, tell: identity("namespace", (view) => view.setUint32(128, 0, true)) },
  "has blocks of 2^255 bytes": { ...unusable, tell: identity("namespace", (view) => view.setUint32(128, 0xff << 16, true)) },
  "has 2^60 blocks": { ...unusable, tell: identity("namespace", (view) => view.setBigUint64(0, 2n ** 60n, true)) },
  "has 2^64 - 1 blocks": { ...unusable, tell: identity("namespace", (view) => view.setBigUint64(0, 2n ** 64n - 1n, true)) },
  "has no blocks": { ...unusable, tell: identity("namespace", (view) => view.setBigUint64(0, 0n, true)) },
  "has queue entries of other sizes": { ...unusable, tell: identity("controller", (view) => view.setUint16(512, 0x7777, true)) },
  "takes transfers of 2^255 pages": { state: "running", fromStart: true, tell: identity("controller", (view) => view.setUint8(77, 255)) },
  "writes to wrong places": { ...held, kinds: ["dma-fault", "exception", "deadline"], tell: (device) => { device.lies.write = (iova, bytes) => ({ iova: iova + 0x1000_0000, bytes }); } },
  "writes its data over its driver's rings": {
    ...held, kinds: ["exception", "deadline", "protocol-violation"],
    tell: (device) => { device.lies.write = (iova, bytes) => ({ iova: isData(iova) ? queues + layout.ioCompletion : iova, bytes }); },
  },
  "changes what it was given": {
    state: "running", code: "DeviceError", kinds: ["protocol-violation"],
    tell: (device) => { device.lies.write = (iova, bytes) => ({ iova, bytes: isData(iova) ? bytes.map((byte) => byte ^ 1) : bytes }); },
  },
};

describe("a disk that", () => {
  test.each(Object.entries(disks))("%s", async (_name, lie) => {
    await using machine = await LyingMachine.open("nvme", lie);
    const volume = machine.client("lied-to") as Volume;
    const data = new Uint8Array(2 * page).fill(7);
    if (lie.fromStart !== true) {
      await machine.world.until(volume.write(0, data));
      lie.tell(machine.device);
    }
    const codes = await machine.codes(volume.write(2 * page, data), volume.read(0, data.length), volume.flush());
    await machine.ends(lie.state, lie.kinds ?? []);
    if (lie.state === "held") {
      // A device can do what it was told and lie afterwards.
      for (const code of codes) expect([undefined, "DeviceError", lie.code]).toContain(code);
      expect(await machine.codes(volume.read(0, page))).toEqual([lie.code]);
    } else if (lie.code === undefined) expect(codes).toEqual([undefined, undefined, undefined]);
    else expect(codes).toContain(lie.code);
    await machine.othersAreWell();
  });

  test("has another size after a restart is not the disk that is open", async () => {
    await using machine = await LyingMachine.open("nvme", { tell: () => undefined, state: "running" });
    const volume = machine.client("lied-to") as Volume;
    const { sizeBytes } = await machine.world.until(volume.info());
    identity("namespace", (view) => view.setBigUint64(0, 4n, true))(machine.device);
    machine.world.machine.driver("lied-to").supervisor.kill();
    const [code] = await machine.codes(volume.read(sizeBytes - page, page));
    expect(["HardwareLost", "DeviceError", "DriverUnavailable"]).toContain(code);
    await machine.othersAreWell();
  });
});

const ringBytes = 256 * 16;

/** Changes descriptors as the device writes them, whole or their second half: address in two words, length, status. */
const descriptors = (ring: "receive" | "transmit", change: (words: Uint32Array) => void) => (device: LyingDevice): void => {
  const start = ring === "transmit" ? queues : queues + ringBytes;
  device.lies.write = (iova, bytes) => {
    if (iova < start || iova >= start + ringBytes) return { iova, bytes };
    const whole = new Uint8Array(Math.ceil(bytes.length / 16) * 16);
    whole.set(bytes, whole.length - bytes.length);
    for (let at = 0; at < whole.length; at += 16) change(new Uint32Array(whole.buffer, at, 4));
    return { iova: iova + bytes.length - whole.length, bytes: whole };
  };
};

const cards: Readonly<Record<string, Lie>> = {
  "receives more than fits the buffer": { ...found, tell: descriptors("receive", (words) => { words[2]! |= 0xffff; }) },
  "receives frames of no bytes": { state: "running", tell: descriptors("receive", (words) => { words[2]! &= ~0xffff; }) },
  "receives frames that never end": { state: "running", tell: descriptors("receive", (words) => { words[3]! &= ~2; }) },
  "receives frames with every error": { state: "running", tell: descriptors("receive", (words) => { words[3]! |= 0x9700; }) },
  "says it received and did not": { state: "running", tell: (device) => { device.lies.write = (iova, bytes) => (iova >= queues + 32 * 1_024 ? undefined : { iova, bytes }); } },
  "points its driver to other addresses": { state: "running", tell: descriptors("receive", (words) => { words[0] = 0; words[1] = allOnes; }) },
  "has never sent": { ...late, tell: descriptors("transmit", (words) => { words[3]! &= ~1; }) },
  "holds its wire up": { ...held, kinds: ["irq-storm"], tell: (device) => { device.lies.stuck = true; device.raise("intx"); } },
  "is pulled out in the middle": { ...late, tell: vanish },
  "never was there": { ...unusable, tell: vanish },
  "never comes out of reset": { ...unusable, tell: register(0, (value) => value | (1 << 26)) },
  "has an EEPROM of noise": { ...unusable, tell: register(0x14, (value) => value ^ 0x1234_0000) },
  "writes to wrong places": { ...held, kinds: ["dma-fault", "exception", "deadline"], tell: (device) => { device.lies.write = (iova, bytes) => ({ iova: iova + 0x1000_0000, bytes }); } },
};

describe("a network card that", () => {
  test.each(Object.entries(cards))("%s", async (_name, lie) => {
    await using machine = await LyingMachine.open("e1000", lie);
    let ended: Error | undefined;
    const received: Uint8Array[] = [];
    const open = machine.client("lied-to") as OpenInterface;
    let net: NetInterface | undefined;
    const opening = (async () => {
      net = open({ received: (frames) => { received.push(...frames); }, room: () => undefined, link: () => undefined, ended: (reason) => { ended = reason; } });
      await net.configure({ up: true });
    })();
    const [code] = await machine.codes(opening);
    if (lie.fromStart !== true) {
      expect(code).toBeUndefined();
      await machine.world.run(3 * second);
      expect(net!.link.up).toBe(true);
      lie.tell(machine.device);
    } else expect(code).toBe(lie.code);
    const frame = new Uint8Array(300).fill(0xa5);
    frame.set([2, 0, 0, 0, 0x88, 0xb5, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x88, 0xb5]);
    for (let round = 0; round < 200 && machine.status.state !== "held"; round++) {
      if (ended === undefined) net?.send(Array.from({ length: 4 }, () => frame));
      await machine.world.run(0.2 * second);
      if (lie.state === "running" && round === 10) break;
    }
    await machine.ends(lie.state, lie.kinds ?? []);
    if (lie.code !== undefined && lie.fromStart !== true) expect(ended).toMatchObject({ code: lie.code });
    for (const bytes of received) expect(bytes.length).toBeLessThanOrEqual(1_518);
    await machine.othersAreWell();
  });
});

const watchdogs: Readonly<Record<string, Lie>> = {
  "never was there": { ...unusable, kinds: ["exception"], tell: (device) => { device.lies.read = () => 0xffff; } },
  "is pulled out in the middle": { ...found, tell: (device) => { device.lies.read = () => 0xffff; } },
  "has always run out": { ...found, tell: register(0x0c, (value) => value | 0x200) },
  "does not start": { ...held, kinds: ["protocol-violation"], fromStart: true, tell: register(0x68, () => 0) },
  "runs from the start, and has no way out": { state: "running", code: "InvalidArgument", fromStart: true, tell: register(0x68, () => 3) },
};

describe("a watchdog that", () => {
  test.each(Object.entries(watchdogs))("%s", async (_name, lie) => {
    await using machine = await LyingMachine.open("i6300esb", lie);
    const client = machine.client("lied-to") as WatchdogClient;
    const told: string[] = [];
    client.on(({ kind }) => told.push(kind));
    if (lie.fromStart !== true) {
      await machine.world.until(client.start({ timeoutMs: 10_000 }));
      lie.tell(machine.device);
    }
    const codes = await machine.codes(...(lie.fromStart === true ? [client.start({ timeoutMs: 10_000 }), client.stop()] : [client.ping(), client.ping()]));
    await machine.ends(lie.state, lie.kinds ?? []);
    expect(codes).toContain(lie.code);
    // It counts on, and its client knows that nobody pings it.
    if (lie.fromStart !== true) expect(told).toEqual(["unattended"]);
    await machine.othersAreWell();
  });
});
