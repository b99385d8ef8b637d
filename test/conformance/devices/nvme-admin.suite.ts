/** What every NVMe controller must do for admin commands: identify, features, log pages, events, abort. */
import { expect, test } from "vitest";
import { type DmaBenchFactory, dmaDiffers } from "./dma-bench.ts";
import { type Completion, type Nvme, type OnNvme, admin, nvm, pageBytes, status } from "./nvme-rig.ts";

/** Feature identifiers (5.21.1). */
const feature = {
  arbitration: 1, power: 2, temperature: 4, errorRecovery: 5, cache: 6, queues: 7, coalescing: 8, vector: 9, atomicity: 10, events: 11,
} as const;

const log = { errors: 1, health: 2, firmware: 3 } as const;

export function nvmeAdminTests(factory: DmaBenchFactory, on: OnNvme): void {
  identifyTests(on);
  featureTests(factory, on);
  logTests(on);
  eventTests(on);
}

async function get(nvme: Nvme, id: number, { select = 0, namespace = 0, word = 0 } = {}): Promise<Completion> {
  return await nvme.admin.run({ opcode: admin.getFeatures, namespace, dwords: [(select << 8) | id, word] });
}

async function set(nvme: Nvme, id: number, word: number, namespace = 0): Promise<Completion> {
  return await nvme.admin.run({ opcode: admin.setFeatures, namespace, dwords: [id >>> 0, word >>> 0] });
}

async function readLog(nvme: Nvme, page: number, sizeBytes: number, offset = 0): Promise<{ status: number; data: DataView }> {
  const block = await nvme.bench.allocate(pageBytes);
  const { status: code } = await nvme.admin.run({ opcode: admin.getLog, namespace: 0xffff_ffff, prp1: block.iova, dwords: [((sizeBytes / 4 - 1) << 16) | page, 0, offset] });
  const bytes = await nvme.bench.readMemory(block.iova, sizeBytes);
  return { status: code, data: new DataView(bytes.slice().buffer) };
}

function identifyTests(on: OnNvme): void {
  test("identify says what the controller is (5.15.2.2)", on(async (nvme) => {
    const data = nvme.controller;
    const text = (from: number, to: number): string => String.fromCharCode(...new Uint8Array(data.buffer, from, to - from));
    expect(data.getUint16(0, true)).not.toBe(0);
    expect(text(4, 72)).toMatch(/^[ -~]+$/);
    expect(text(4, 24).trim()).not.toBe("");
    expect(data.getUint8(512)).toBe(0x66);
    expect(data.getUint8(513)).toBe(0x44);
    expect(data.getUint32(516, true)).toBeGreaterThanOrEqual(1);
    expect(data.getUint32(80, true)).toBe(await nvme.get(8));
    expect(text(768, 772)).toBe("nqn.");
  }));

  test("identify says what a namespace is (5.15.2.1)", on(async (nvme) => {
    const data = nvme.namespace;
    expect([512, 4096]).toContain(nvme.blockBytes);
    expect(nvme.blocks).toBeGreaterThan(0);
    expect(Number(data.getBigUint64(8, true))).toBeLessThanOrEqual(nvme.blocks);
    expect(Number(data.getBigUint64(16, true))).toBeLessThanOrEqual(Number(data.getBigUint64(8, true)));
    expect((data.getUint8(26) & 15)).toBeLessThanOrEqual(data.getUint8(25));
  }));

  test("active namespaces are listed above a number, and end (5.15.2.3)", on(async (nvme) => {
    const list = await nvme.identify(2, 0);
    const ids: number[] = [];
    for (let at = 0; at < pageBytes && list.getUint32(at, true) !== 0; at += 4) ids.push(list.getUint32(at, true));
    expect(ids[0]).toBe(1);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    const rest = await nvme.identify(2, ids.at(-1));
    expect(rest.getUint32(0, true)).toBe(0);
  }));

  test("namespace descriptors name the namespace (5.15.2.4)", on(async (nvme) => {
    const data = await nvme.identify(3, 1);
    const lengths = [0, 8, 16, 16, 1];
    let count = 0;
    for (let at = 0; at < pageBytes && data.getUint8(at + 1) !== 0; at += 4 + data.getUint8(at + 1)) {
      expect(data.getUint8(at + 1)).toBe(lengths[data.getUint8(at)]);
      count++;
    }
    expect(count).toBeGreaterThanOrEqual(1);
  }));

  test("identify refuses namespaces that cannot be, and structures it does not know (5.15.1)", on(async (nvme, bench) => {
    const { iova } = await bench.allocate(pageBytes);
    const code = async (cns: number, namespace: number): Promise<number> => (await nvme.admin.run({ opcode: admin.identify, namespace, prp1: iova, dwords: [cns] })).status;
    const beyond = nvme.controller.getUint32(516, true) + 1;
    expect(await code(0, beyond)).toBe(status.invalidNamespace);
    expect(await code(0, 0)).toBe(status.invalidNamespace);
    expect(await code(3, beyond)).toBe(status.invalidNamespace);
    expect(await code(2, 0xffff_ffff)).toBe(status.invalidNamespace);
    expect(await code(0xfe, 1)).toBe(status.invalidField);
  }));

  test("unknown admin commands are refused (4.6.1)", on(async (nvme) => {
    expect(await nvme.admin.run({ opcode: 0xbf })).toMatchObject({ status: status.invalidOpcode, doNotRetry: true });
    expect((await nvme.admin.run({ opcode: 0x7f })).status).toBe(status.invalidOpcode);
  }));
}

function featureTests(factory: DmaBenchFactory, on: OnNvme): void {
  test("every mandatory feature can be read (5.21.1)", on(async (nvme) => {
    for (const id of [feature.arbitration, feature.power, feature.temperature, feature.queues, feature.coalescing, feature.vector, feature.atomicity, feature.events]) {
      expect([id, (await get(nvme, id)).status]).toEqual([id, status.success]);
    }
    expect((await get(nvme, feature.errorRecovery, { namespace: 1 })).status).toBe(status.success);
  }));

  test("unknown features are refused (5.15, 5.21)", on(async (nvme) => {
    for (const id of [0x00, 0x7e, 0xbf]) {
      expect((await get(nvme, id)).status).toBe(status.invalidField);
      expect((await set(nvme, id, 0)).status).toBe(status.invalidField);
    }
  }));

  test("the number of queues is agreed before there are any (5.21.1.7)", on(async (nvme) => {
    const asked = await set(nvme, feature.queues, (3 << 16) | 3);
    expect(asked.status).toBe(status.success);
    expect(asked.result & 0xffff).toBeGreaterThanOrEqual(0);
    expect((await get(nvme, feature.queues)).result).toBe(asked.result);
    expect((await set(nvme, feature.queues, 0xffff)).status).toBe(status.invalidField);
    expect((await set(nvme, feature.queues, 0xffff_0000)).status).toBe(status.invalidField);
    await nvme.createPair(1, 8);
    expect((await set(nvme, feature.queues, (3 << 16) | 3)).status).toBe(status.sequence);
  }));

  test(`what is set is what is read, until a reset (5.21, 7.3.2)${dmaDiffers(factory, "nvme-keeps-features-on-reset")}`, on(async (nvme) => {
    const initial = (await get(nvme, feature.temperature)).result & 0xffff;
    expect((await set(nvme, feature.temperature, 360)).status).toBe(status.success);
    expect((await get(nvme, feature.temperature)).result & 0xffff).toBe(360);
    expect((await set(nvme, feature.events, 0x02)).status).toBe(status.success);
    expect((await get(nvme, feature.events)).result & 0xff).toBe(0x02);
    expect((await set(nvme, feature.errorRecovery, 50, 1)).status).toBe(status.success);
    expect((await get(nvme, feature.errorRecovery, { namespace: 1 })).result & 0xffff).toBe(50);
    // Select (ONCS bit 4): the default is not what was set.
    if ((nvme.controller.getUint16(520, true) & 0x10) !== 0) expect((await get(nvme, feature.temperature, { select: 1 })).result & 0xffff).toBe(initial);
    await nvme.start();
    const keeps = factory.differences.has("nvme-keeps-features-on-reset");
    expect((await get(nvme, feature.temperature)).result & 0xffff).toBe(keeps ? 360 : initial);
    expect((await get(nvme, feature.events)).result & 0xff).toBe(keeps ? 0x02 : 0);
  }));

  test("features that cannot be saved are not (5.21)", on(async (nvme) => {
    if ((nvme.controller.getUint16(520, true) & 0x10) === 0) return;
    expect((await get(nvme, feature.temperature, { select: 3 })).result & 1).toBe(0);
    expect((await set(nvme, feature.temperature | 0x8000_0000, 350)).status).toBe(0x10d);
  }));

  test("the volatile write cache can be turned off and on where there is one (5.21.1.6)", on(async (nvme) => {
    const present = (nvme.controller.getUint8(525) & 1) !== 0;
    if (!present) {
      expect((await set(nvme, feature.cache, 0)).status).toBe(status.invalidField);
      return;
    }
    expect((await get(nvme, feature.cache)).result & 1).toBe(1);
    for (const on of [0, 1]) {
      expect((await set(nvme, feature.cache, on)).status).toBe(status.success);
      expect((await get(nvme, feature.cache)).result & 1).toBe(on);
    }
  }));
}

function logTests(on: OnNvme): void {
  test("the health log counts what the host did (5.14.1.2)", on(async (nvme) => {
    const queue = await nvme.createPair(1, 8);
    const before = await readLog(nvme, log.health, 512);
    expect(before.status).toBe(status.success);
    for (let index = 0; index < 3; index++) await nvme.writeBlocks(queue, 0, new Uint8Array(nvme.blockBytes));
    for (let index = 0; index < 5; index++) await nvme.readBlocks(queue, 0, 1);
    const after = await readLog(nvme, log.health, 512);
    expect(after.data.getUint16(1, true)).toBeGreaterThan(273);
    expect(Number(after.data.getBigUint64(64, true) - before.data.getBigUint64(64, true))).toBe(5);
    expect(Number(after.data.getBigUint64(80, true) - before.data.getBigUint64(80, true))).toBe(3);
  }));

  test("error and firmware logs are there; parts can be read where identify says so (5.14)", on(async (nvme) => {
    expect((await readLog(nvme, log.errors, 64)).status).toBe(status.success);
    const firmware = await readLog(nvme, log.firmware, 512);
    expect(firmware.status).toBe(status.success);
    expect(firmware.data.getUint8(0) & 7).toBeGreaterThanOrEqual(1);
    if ((nvme.controller.getUint8(261) & 4) === 0) return;
    const part = await readLog(nvme, log.firmware, 8, 8);
    expect([...new Uint8Array(part.data.buffer)]).toEqual([...new Uint8Array(firmware.data.buffer, 8, 8)]);
    expect((await readLog(nvme, log.firmware, 8, 0x10_0000)).status).toBe(status.invalidField);
  }));

  test("unknown log pages are refused (5.14)", on(async (nvme) => {
    expect([status.logPage, status.invalidField]).toContain((await readLog(nvme, 0x7f, 64)).status);
  }));
}

function eventTests(on: OnNvme): void {
  test("a write to a doorbell of no queue is reported to who waits for events (5.2, 3.1.24)", on(async (nvme, bench) => {
    const id = await nvme.admin.push({ opcode: admin.asyncEvent });
    await nvme.admin.ring();
    await bench.advanceMicros(1_000);
    expect(await nvme.admin.poll()).toBeUndefined();
    await nvme.doorbell(2 * 5, 1);
    const [event] = await nvme.admin.reap(1);
    expect(event).toMatchObject({ id, status: status.success });
    // Type error, invalid doorbell register, error log.
    expect(event!.result & 0xff_ff07).toBe(0x01_0000);
  }));

  test("an invalid doorbell value is reported, once until its log is read (5.2)", on(async (nvme, bench) => {
    const queue = await nvme.createPair(1, 8);
    const wait = async (): Promise<number> => {
      const id = await nvme.admin.push({ opcode: admin.asyncEvent });
      await nvme.admin.ring();
      return id;
    };
    const first = await wait();
    await nvme.doorbell(2, 0x7fff);
    const [event] = await nvme.admin.reap(1);
    expect(event).toMatchObject({ id: first, status: status.success });
    expect(event!.result & 0xff_ff07).toBe(0x01_0100);
    const second = await wait();
    await nvme.doorbell(2, 0x7ffe);
    await bench.advanceMicros(1_000);
    expect(await nvme.admin.poll()).toBeUndefined();
    const block = await bench.allocate(pageBytes);
    await nvme.admin.push({ opcode: admin.getLog, namespace: 0xffff_ffff, prp1: block.iova, dwords: [(15 << 16) | log.errors] });
    await nvme.admin.ring();
    // The event in between is reported now, or was cleared with its log; the next one is reported then.
    const completions = await nvme.admin.reap(1);
    await nvme.doorbell(3, 0x7fff);
    completions.push(...await nvme.admin.reap(1));
    expect(completions.find(({ id }) => id === second)).toMatchObject({ status: status.success });
    expect((await queue.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(status.success);
  }));

  test("a threshold set below the temperature is an event where the host wants it (5.21.1.4, 5.21.1.11)", on(async (nvme) => {
    expect((await set(nvme, feature.events, 0x02)).status).toBe(status.success);
    const id = await nvme.admin.push({ opcode: admin.asyncEvent });
    await nvme.admin.ring();
    await nvme.admin.push({ opcode: admin.setFeatures, dwords: [feature.temperature, 200] });
    await nvme.admin.ring();
    const event = (await nvme.admin.reap(2)).find((completion) => completion.id === id);
    expect(event!.result & 0xff_ff07).toBe(0x02_0101);
    expect((await readLog(nvme, log.health, 512)).data.getUint8(0) & 2).toBe(2);
  }));

  test("more requests for events than identify allows are refused (5.2)", on(async (nvme) => {
    const allowed = nvme.controller.getUint8(259) + 1;
    for (let index = 0; index < allowed; index++) await nvme.admin.push({ opcode: admin.asyncEvent });
    const last = await nvme.admin.push({ opcode: admin.asyncEvent });
    await nvme.admin.ring();
    expect(await nvme.admin.reap(1)).toMatchObject([{ id: last, status: status.eventLimit }]);
  }));

  test("abort says whether it did: a command that is not there cannot be (5.1)", on(async (nvme) => {
    await nvme.createPair(1, 8);
    expect(await nvme.admin.run({ opcode: admin.abort, dwords: [(0x7777 << 16) | 1] })).toMatchObject({ status: status.success, result: 1 });
  }));

  test("an aborted command completes as aborted, any other as if nothing had been (5.1)", on(async (nvme, bench) => {
    const waiting = await nvme.admin.push({ opcode: admin.asyncEvent });
    await nvme.admin.ring();
    const abort = await nvme.admin.push({ opcode: admin.abort, dwords: [(waiting << 16) >>> 0] });
    await nvme.admin.ring();
    let done: Completion | undefined;
    let aborted: Completion | undefined;
    await bench.until(async () => {
      for (let one = await nvme.admin.poll(); one !== undefined; one = await nvme.admin.poll()) {
        if (one.id === abort) done = one;
        if (one.id === waiting) aborted = one;
      }
      return done !== undefined && (done.result === 1 || aborted !== undefined);
    }, "the abort's completion, and that of what it aborted");
    await nvme.admin.release();
    expect(done!.status).toBe(status.success);
    expect(aborted?.status).toBe(done!.result === 1 ? undefined : status.aborted);
  }));
}
