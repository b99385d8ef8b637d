/** What a block driver may do wrong, and what its device may report: contained, reported, and nobody else is harmed. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlockBenchOptions, blockBytes, failing, openBlock, ops, pattern } from "../../../test/fixtures/block-bench.ts";
import { type IoRequest, TestBlockDriver, completions } from "../../../test/fixtures/block-driver.ts";
import { settle } from "../../../test/fixtures/driver-port.ts";
import { type MessageRecord, RecordKind } from "../../api/records.ts";
import { BlockStatus, block } from "./contract.ts";

describe("a driver that breaks the contract", () => {
  const broken = async (record: (driver: TestBlockDriver, request: IoRequest) => MessageRecord, options: BlockBenchOptions = {}) => {
    const world = openBlock(options);
    const driver = await world.attach();
    let answers = 0;
    const read = world.volume.read(0, blockBytes).finally(() => answers++);
    await settle();
    const reason = world.shadow.receive(record(driver, driver.open[0]!));
    await settle();
    return { ...world, driver, read, reason, answers: () => answers };
  };

  test.each([
    ["a tag never issued", (_driver: TestBlockDriver) => completions([77_777, 0, 0])],
    ["tag 0", () => completions([0, 0, 0])],
    ["an unknown status", (_driver: TestBlockDriver, { tag }: IoRequest) => completions([tag, 8, 0])],
    ["a huge status", (_driver: TestBlockDriver, { tag }: IoRequest) => completions([tag, 0xffff_ffff, 0])],
    ["a status that no read has", (_driver: TestBlockDriver, { tag }: IoRequest) => completions([tag, BlockStatus.noSpace, 0])],
    ["half an entry", (_driver: TestBlockDriver, { tag }: IoRequest) => completions([tag, 0])],
    ["no entries", () => completions()],
    ["another queue", (_driver: TestBlockDriver, { tag }: IoRequest) => ({ ...completions([tag, 0, 0]), id: 1 })],
    ["a tag of the batch", (_driver: TestBlockDriver, { tag }: IoRequest) => ({ ...completions([tag, 0, 0]), tag: 1 })],
    ["an unknown kind of record", () => ({ kind: 21, id: 0, tag: 0, payload: new Uint8Array(0) })],
  ])("%s is a violation; the request goes to the next driver", async (_name, record) => {
    const { reason, answers, shadow, attach, serveAll, read } = await broken(record);
    expect(reason).toEqual(expect.any(String));
    expect(answers()).toBe(0);
    shadow.detach();
    await serveAll(await attach());
    expect(await read).toHaveLength(blockBytes);
  });

  test("a second completion is a violation, also in one batch, and after the tag's slot is used again", async () => {
    const { shadow, volume, attach } = openBlock();
    const driver = await attach();
    const read = volume.read(0, blockBytes);
    await settle();
    const record = driver.serve();
    expect(shadow.receive(record)).toBeUndefined();
    await read;
    expect(shadow.receive(record)).toMatch(/not out/);
    const again = volume.read(0, blockBytes);
    await settle();
    expect(shadow.receive(record)).toMatch(/not out/);
    const { tag } = driver.open[0]!;
    expect(shadow.receive(completions([tag, 0, 0], [tag, 0, 0]))).toMatch(/not out/);
    await again;
  });

  test("a completion of the driver before is a violation of this one; without a driver it is nothing", async () => {
    const { shadow, volume, attach, serveAll } = openBlock();
    const first = await attach();
    const read = volume.read(0, blockBytes);
    await settle();
    const late = first.serve();
    shadow.detach();
    expect(shadow.receive(late)).toBeUndefined();
    const second = await attach();
    expect(shadow.receive(late)).toMatch(/not out/);
    await serveAll(second);
    await read;
  });

  test("a request that is still in the batch cannot be completed by guessing its tag", async () => {
    const { shadow, volume, attach, serveAll, environment } = openBlock();
    const driver = await attach();
    const first = volume.read(0, blockBytes);
    await settle();
    const { tag } = driver.open[0]!;
    driver.full = true;
    const second = volume.read(blockBytes, blockBytes);
    await settle();
    expect(shadow.receive(completions([tag + 1, 0, 0]))).toMatch(/not sent yet/);
    driver.full = false;
    environment.clock.advance(10_000);
    await serveAll(driver);
    await Promise.all([first, second]);
  });

  test.each([
    ["blocks of an odd size", { blockBytes: 1_000 }], ["more bytes than numbers can hold", { blocks: 2 ** 52, blockBytes: 65_536 }],
    ["transfers below a block", { blockBytes: 65_536, maxTransferBytes: 4_096 }],
  ])("%s are a violation", async (_name, identity) => {
    const { shadow, environment, disk } = openBlock();
    const driver = new TestBlockDriver(disk, environment.buffers);
    void shadow.attach(driver);
    expect(shadow.receive(driver.identify(identity))).toMatch(/answer to identify/);
  });

  test("what it never completes is reported once, and given to the next", async () => {
    const { volume, attach, environment, shadow, serveAll } = openBlock();
    const first = await attach();
    const read = volume.read(0, blockBytes);
    await settle();
    environment.clock.advance(2_000_000);
    const later = volume.read(blockBytes, blockBytes);
    await settle();
    expect(environment.failures).toEqual([]);
    environment.clock.advance(1_000_000);
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: "io" }]);
    environment.clock.advance(60_000_000);
    expect(environment.failures).toHaveLength(1);
    shadow.detach();
    const second = await attach();
    await settle();
    expect(ops(second.open)).toEqual(ops(first.open));
    await serveAll(second);
    await Promise.all([read, later]);
    environment.clock.advance(60_000_000);
    expect(environment.failures).toHaveLength(1);
    expect(environment.clock.pending).toBe(0);
  });

  test("the deadline is of each request, however many come after it", async () => {
    const { volume, attach, environment, shadow } = openBlock();
    const driver = await attach();
    const stuck = volume.read(0, blockBytes);
    await settle();
    const { tag } = driver.open[0]!;
    for (let ms = 0; ms < 2_900; ms += 100) {
      const read = volume.read(blockBytes, blockBytes);
      await settle();
      shadow.receive(driver.serve(driver.open.filter((request) => request.tag !== tag)));
      await read;
      environment.clock.advance(100_000);
    }
    expect(environment.failures).toEqual([]);
    environment.clock.advance(100_001);
    expect(environment.failures).toHaveLength(1);
    shadow.close();
    await expect(stuck).rejects.toMatchObject({ code: "Closed" });
  });

  test("an inbox that is full is tried again", async () => {
    const { volume, attach, environment, serveAll } = openBlock();
    const driver = await attach();
    driver.full = true;
    const reads = [volume.read(0, blockBytes)];
    await settle();
    reads.push(volume.read(blockBytes, blockBytes));
    await settle();
    driver.full = false;
    environment.clock.advance(1_000);
    await serveAll(driver);
    await Promise.all(reads);
    expect(driver.batches).toEqual([2]);
  });
});

describe("what the device reports", () => {
  test.each([
    [BlockStatus.mediaError, "DeviceError", "mediaError"], [BlockStatus.ioError, "DeviceError", "ioError"],
    [BlockStatus.outOfRange, "DeviceError", "outOfRange"], [BlockStatus.unsupported, "Unsupported", "unsupported"],
  ])("status %i is the client's error", async (status, code, name) => {
    const { volume, attach, shadow, environment } = openBlock();
    const driver = await attach();
    const read = volume.read(0, blockBytes);
    const rejected = failing(read, { code, fields: { status: name, detail: 0 } });
    await settle();
    expect(shadow.receive(driver.complete(driver.open.slice(), status))).toBeUndefined();
    await rejected;
    expect(environment.failures).toEqual([]);
  });

  test("one part that fails is the error of the call; what is not handed out yet is left out", async () => {
    const { volume, attach, shadow } = openBlock({ identity: { maxTransferBytes: 4_096, queueDepth: 2 } });
    const driver = await attach();
    const write = volume.write(0, pattern(64));
    const rejected = failing(write, { fields: { status: "mediaError" } });
    await settle();
    const [first, second] = driver.open;
    shadow.receive(driver.complete([first!], BlockStatus.mediaError));
    shadow.receive(driver.serve([second!]));
    await rejected;
    expect(driver.open).toEqual([]);
    expect(shadow.pending).toBe(0);
  });

  test("a transfer that was given up is sent again, not for ever", async () => {
    const { volume, attach, shadow } = openBlock();
    const driver = await attach();
    const read = volume.read(0, blockBytes);
    const rejected = failing(read, { fields: { status: "aborted" } });
    await settle();
    let rounds = 0;
    for (; driver.open.length > 0; rounds++) {
      shadow.receive(driver.complete(driver.open.slice(), BlockStatus.aborted));
      await settle();
    }
    await rejected;
    expect(rounds).toBe(9);
  });

  test("its notices are in the log, and do not fill it", async () => {
    const { attach, shadow, environment } = openBlock();
    await attach();
    const event = block.events.notice;
    const payload = event.payload.encode({ kind: "health", code: 2 });
    for (let round = 0; round < 100; round++) expect(shadow.receive({ kind: RecordKind.event, id: event.id, tag: 0, payload })).toBeUndefined();
    expect(environment.notes).toEqual(Array.from({ length: 16 }, () => "the device tells of its health: code 0x2"));
  });
});

describe("checksums", () => {
  test("a driver that returns wrong data fails, and the next one is asked", async () => {
    const { volume, attach, shadow, serveAll, environment } = openBlock({ settings: { checksums: true } });
    const driver = await attach();
    const written = volume.write(0, pattern(4));
    await serveAll(driver);
    await written;
    const read = volume.read(0, 4 * blockBytes);
    await settle();
    const [request] = driver.open;
    driver.perform(request!);
    environment.buffers.bytes[request!.iova - environment.buffers.iova + 2 * blockBytes + 7]! ^= 1;
    expect(shadow.receive(driver.complete([request!]))).toBe("returned wrong data for block 2");
    shadow.detach();
    await serveAll(await attach());
    expect(Buffer.compare(await read, pattern(4))).toBe(0);
  });

  test("data that stays wrong with every driver is the client's error", async () => {
    const { volume, attach, shadow, serveAll, disk } = openBlock({ settings: { checksums: true }, identity: { volatileCache: false } });
    let driver = await attach();
    const written = volume.write(0, pattern(4));
    await serveAll(driver);
    await written;
    disk.write(1, pattern(1, 99), true);
    const read = volume.read(0, 4 * blockBytes);
    const rejected = failing(read, { code: "DeviceError", fields: { status: "wrongData", block: 1 } });
    await settle();
    for (let round = 0; round < 2; round++) {
      expect(shadow.receive(driver.serve())).toMatch(/wrong data for block 1/);
      shadow.detach();
      driver = await attach();
    }
    expect(shadow.receive(driver.serve())).toBeUndefined();
    await rejected;
    // It is known to be lost: a client that tries again costs no driver, and is told again.
    const retried = failing(volume.read(blockBytes, 2 * blockBytes), { code: "DeviceError", fields: { status: "wrongData", block: 1 } });
    await serveAll(driver);
    await retried;
    const repaired = volume.write(blockBytes, pattern(1));
    await serveAll(driver);
    await repaired;
    const again = volume.read(blockBytes, blockBytes);
    await serveAll(driver);
    expect(await again).toHaveLength(blockBytes);
  });

  test("a call in several transfers blames no more drivers than one in a single transfer", async () => {
    const { volume, attach, shadow, serveAll, disk } = openBlock({ settings: { checksums: true }, identity: { volatileCache: false, maxTransferBytes: 4_096 } });
    let driver = await attach();
    const sizeBytes = 4 * 4_096;
    const blocks = sizeBytes / blockBytes;
    const written = volume.write(0, pattern(blocks));
    await serveAll(driver);
    await written;
    for (let block = 0; block < blocks; block++) disk.write(block, pattern(1, 200), true);
    const rejected = failing(volume.read(0, sizeBytes), { code: "DeviceError", fields: { status: "wrongData" } });
    for (let round = 0; round < 2; round++) {
      await settle();
      // Each driver answers another of them first.
      const request = driver.open.at(-1 - round)!;
      driver.perform(request);
      expect(shadow.receive(driver.complete([request]))).toMatch(/wrong data for block/);
      shadow.detach();
      driver = await attach();
    }
    await serveAll(driver);
    await rejected;
  });

  test("zeroes are checked, what was discarded or never written is not, nor what a failed write left", async () => {
    const { volume, attach, shadow, serveAll, disk } = openBlock({ settings: { checksums: true }, identity: { volatileCache: false } });
    const driver = await attach();
    const made = [volume.writeZeroes(0, blockBytes), volume.discard(blockBytes, blockBytes)];
    await serveAll(driver);
    await Promise.all(made);
    const failed = volume.write(2 * blockBytes, pattern(1));
    const rejected = failing(failed, { fields: { status: "mediaError" } });
    await settle();
    shadow.receive(driver.complete(driver.open.slice(), BlockStatus.mediaError));
    await rejected;
    disk.write(1, pattern(3, 5), true);
    const read = volume.read(blockBytes, 3 * blockBytes);
    await serveAll(driver);
    expect(Buffer.compare(await read, pattern(3, 5))).toBe(0);
    disk.write(0, pattern(1), true);
    const zeroes = volume.read(0, blockBytes);
    await settle();
    expect(shadow.receive(driver.serve())).toMatch(/block 0/);
    shadow.close();
    await expect(zeroes).rejects.toMatchObject({ code: "Closed" });
  });

  test("a device with too many blocks is refused with advice", async () => {
    const { volume, shadow, disk, environment } = openBlock({ settings: { checksums: true } });
    const driver = new TestBlockDriver(disk, environment.buffers);
    const info = volume.info();
    const rejected = failing(info, { code: "InvalidArgument", message: expect.stringContaining("leave \"checksums\" out") as string });
    const attached = shadow.attach(driver);
    shadow.receive(driver.identify({ blocks: 16_777_217 }));
    await rejected;
    expect(await attached).toBe(true);
  });
});

describe("any completions whatever", () => {
  test("throw nothing, settle no call twice, and leave the next driver a shadow that works", async () => {
    const word = fc.oneof(fc.nat(9), fc.integer({ min: 0, max: 0xffff_ffff }));
    // The tag of an open request, moved a little; or anything.
    const entry = fc.record({ pick: fc.nat(7), tag: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: word }), status: word, detail: word });
    const batch = fc.record({ entries: fc.array(entry, { maxLength: 6 }), cut: fc.integer({ min: 0, max: 3 }), id: fc.constantFrom(0, 0, 0, 0, 1) });
    await fc.assert(fc.asyncProperty(fc.array(batch, { maxLength: 25 }), async (batches) => {
      const { volume, attach, shadow, serveAll } = openBlock({ blocks: 64 });
      let driver = await attach();
      let made = 0;
      let settled = 0;
      const count = (): void => void settled++;
      for (const { entries, cut, id } of batches) {
        for (const call of [volume.read(0, blockBytes), volume.write(8 * blockBytes, pattern(4)), volume.flush()]) {
          made++;
          call.then(count, count);
        }
        await settle();
        const tags = driver.open.map(({ tag }) => tag);
        const words = entries.map(({ pick, tag, status, detail }) => [tag ?? tags[pick % Math.max(1, tags.length)] ?? 0, status, detail]);
        const record = completions(...words);
        // What it has completed is not with it any more; when the shadow disagrees, the driver is gone.
        driver.forget(words.map(([tag]) => tag!));
        const reason = shadow.receive({ ...record, id, payload: record.payload.subarray(0, record.payload.length - cut) });
        await settle();
        if (reason === undefined) continue;
        shadow.detach();
        driver = await attach();
      }
      shadow.detach();
      await serveAll(await attach());
      expect(settled).toBe(made);
      expect(shadow.pending).toBe(0);
    }), { numRuns: 100 });
  });
});
