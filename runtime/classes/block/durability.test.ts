/** What a device with a volatile cache may lose, and how the block shadow makes up for it. */
import { describe, expect, test } from "vitest";
import { blockBytes, failing, openBlock, ops, pattern } from "../../../test/fixtures/block-bench.ts";
import { settle } from "../../../test/fixtures/driver-port.ts";
import { BlockFlag, BlockStatus } from "./contract.ts";

describe("the journal", () => {
  test("a power cut after a crash loses nothing; what a newer write covers is left out; a flush follows by itself", async () => {
    const { volume, attach, shadow, disk, begin, serveAll } = openBlock();
    const first = await attach();
    const written = [volume.write(0, pattern(1, 1)), volume.write(4 * blockBytes, pattern(2, 2)), volume.write(0, pattern(1, 3))];
    await serveAll(first);
    await Promise.all(written);
    shadow.detach();
    disk.powerCut();
    const { driver, attached } = await begin();
    expect(ops(driver.open)).toEqual(["write 4+2", "write 0+1"]);
    const read = volume.read(0, blockBytes);
    await settle();
    expect(driver.open).toHaveLength(2);
    expect(shadow.receive(driver.serve())).toBeUndefined();
    expect(await attached).toBe(true);
    expect(ops(driver.open)).toEqual(["flush 0+0", "read 0+1"]);
    await serveAll(driver);
    expect(Buffer.compare(await read, pattern(1, 3))).toBe(0);
    expect(shadow.journalBytes).toBe(0);
    expect(Buffer.compare(disk.medium, disk.present)).toBe(0);
  });

  test("a flush empties it of what was acknowledged before it was sent", async () => {
    const { volume, attach, shadow, serveAll } = openBlock();
    const driver = await attach();
    const first = volume.write(0, pattern(1));
    await serveAll(driver);
    await first;
    const flushed = volume.flush();
    await settle();
    const second = volume.write(blockBytes, pattern(1));
    await settle();
    shadow.receive(driver.serve([driver.open[1]!]));
    await second;
    shadow.receive(driver.serve());
    await flushed;
    expect(shadow.journalBytes).toBeGreaterThan(blockBytes);
    expect(shadow.journalBytes).toBeLessThan(2 * blockBytes);
  });

  test("at half it flushes by itself; when it is full a write is acknowledged after a flush", async () => {
    const { volume, attach, shadow, serveAll } = openBlock({ settings: { journalBytes: 8_192 } });
    const driver = await attach();
    let acknowledged = 0;
    const write = (index: number, blocks: number): void => void volume.write(index * 32 * blockBytes, pattern(blocks)).then(() => acknowledged++);
    write(0, 9);
    await settle();
    shadow.receive(driver.serve());
    await settle();
    expect(acknowledged).toBe(1);
    expect(ops(driver.open)).toEqual(["flush 0+0"]);
    write(1, 8);
    await settle();
    shadow.receive(driver.serve([driver.open[1]!]));
    await settle();
    expect(acknowledged).toBe(1);
    shadow.receive(driver.serve());
    await settle();
    expect(acknowledged).toBe(1);
    expect(ops(driver.open)).toEqual(["flush 0+0"]);
    await serveAll(driver);
    expect(acknowledged).toBe(2);
    expect(shadow.journalBytes).toBe(0);
  });

  test("a device that fails its flushes gets no flush after flush; a write that needs one fails with it", async () => {
    const { volume, attach, shadow, environment } = openBlock({ settings: { journalBytes: 8_192 } });
    const driver = await attach();
    const first = volume.write(0, pattern(9));
    await settle();
    shadow.receive(driver.serve());
    await first;
    shadow.receive(driver.complete(driver.open.slice(), BlockStatus.ioError));
    await settle();
    expect(driver.open).toEqual([]);
    expect(environment.notes).toHaveLength(1);
    const second = volume.write(64 * blockBytes, pattern(9));
    const rejected = failing(second, { fields: { operation: "flush", status: "ioError" } });
    await settle();
    shadow.receive(driver.serve());
    await settle();
    shadow.receive(driver.complete(driver.open.slice(), BlockStatus.ioError));
    await rejected;
    expect(driver.open).toEqual([]);
    expect(shadow.journalBytes).toBeGreaterThan(9 * blockBytes);
  });

  test("without a volatile cache, or turned off, nothing is kept", async () => {
    for (const options of [{ identity: { volatileCache: false } }, { settings: { journal: false } }]) {
      const { volume, attach, shadow, serveAll } = openBlock(options);
      const driver = await attach();
      const written = volume.write(0, pattern(1));
      await serveAll(driver);
      await written;
      expect(shadow.journalBytes).toBe(0);
      shadow.detach();
      expect((await attach()).batches).toEqual([]);
    }
  });

  test("a driver that denies the cache it once told of is not believed", async () => {
    const { volume, attach, shadow, serveAll } = openBlock();
    await attach();
    shadow.detach();
    const driver = await attach({ volatileCache: false });
    const written = volume.write(0, pattern(1));
    await serveAll(driver);
    await written;
    expect(shadow.journalBytes).toBeGreaterThan(0);
  });

  test("once its promise has resolved, a client may use its buffer for something else", async () => {
    const { volume, attach, shadow, disk, serveAll } = openBlock();
    const driver = await attach();
    const copied = pattern(1, 1);
    const whole = pattern(100, 2);
    const part = whole.subarray(0, blockBytes);
    const written = [volume.write(0, copied), volume.write(blockBytes, part)];
    await serveAll(driver);
    await Promise.all(written);
    copied.fill(0xff);
    part.fill(0xff);
    shadow.detach();
    disk.powerCut();
    await serveAll(await attach());
    expect(Buffer.compare(disk.read(0, 2), Buffer.concat([pattern(1, 1), pattern(100, 2).subarray(0, blockBytes)]))).toBe(0);
  });

  test("what cannot be made again is told in the log, and not tried for ever", async () => {
    const { volume, attach, shadow, environment, begin, serveAll } = openBlock();
    const first = await attach();
    const written = volume.write(0, pattern(1));
    await serveAll(first);
    await written;
    shadow.detach();
    const { driver, attached } = await begin();
    shadow.receive(driver.complete(driver.open.slice(), BlockStatus.mediaError));
    expect(await attached).toBe(true);
    expect(environment.notes.at(-1)).toMatch(/could not be made again.*mediaError/);
    expect(shadow.journalBytes).toBe(0);
  });
});

describe("FUA", () => {
  test("a device that knows it is told; another is flushed before the answer", async () => {
    const { volume, attach, shadow } = openBlock();
    const able = await attach();
    const first = volume.write(0, pattern(1), { fua: true });
    await settle();
    expect(able.open[0]!.flags).toBe(BlockFlag.fua);
    shadow.receive(able.serve());
    await first;
    shadow.detach();
    const unable = await attach({ fua: false });
    let isDone = false;
    const second = volume.writeZeroes(0, blockBytes, { fua: true, mayDiscard: true }).then(() => { isDone = true; return isDone; });
    await settle();
    expect(unable.open[0]!.flags).toBe(BlockFlag.mayDiscard);
    shadow.receive(unable.serve());
    await settle();
    expect(isDone).toBe(false);
    expect(ops(unable.open)).toEqual(["flush 0+0"]);
    shadow.receive(unable.serve());
    await second;
  });

  test("one flush serves all writes that wait for it", async () => {
    const { volume, attach, shadow } = openBlock({ identity: { fua: false } });
    const driver = await attach();
    const writes = [0, 1, 2, 3].map((index) => volume.write(index * blockBytes, pattern(1), { fua: true }));
    await settle();
    shadow.receive(driver.serve());
    expect(ops(driver.open)).toEqual(["flush 0+0"]);
    shadow.receive(driver.serve());
    await Promise.all(writes);
  });
});

describe("a call of several transfers whose driver dies between them", () => {
  const parts = { maxTransferBytes: 4_096, queueDepth: 1 };
  const data = pattern(16);

  test("without a journal begins anew: its first transfer may be lost", async () => {
    const { volume, attach, shadow, disk, serveAll } = openBlock({ settings: { journal: false }, identity: parts });
    const first = await attach();
    const written = volume.write(0, data);
    await settle();
    shadow.receive(first.serve());
    expect(ops(first.open)).toEqual(["write 8+8"]);
    shadow.detach();
    disk.powerCut();
    const second = await attach();
    await settle();
    expect(ops(second.open)).toEqual(["write 0+8"]);
    await serveAll(second);
    await written;
    expect(Buffer.compare(disk.read(0, 16), data)).toBe(0);
  });

  test("with FUA by flush begins anew, also when it only waited for the flush", async () => {
    const { volume, attach, shadow, disk, serveAll } = openBlock({ identity: { ...parts, fua: false } });
    const first = await attach();
    const written = volume.write(0, data, { fua: true });
    await settle();
    shadow.receive(first.serve());
    shadow.receive(first.serve());
    expect(ops(first.open)).toEqual(["flush 0+0"]);
    shadow.detach();
    disk.powerCut();
    const second = await attach();
    await serveAll(second);
    await written;
    expect(Buffer.compare(disk.medium.subarray(0, data.length), data)).toBe(0);
  });

  test("with the journal goes on where it was: what is done is kept", async () => {
    const { volume, attach, shadow, disk, serveAll } = openBlock({ identity: parts });
    const first = await attach();
    const written = volume.write(0, data);
    await settle();
    shadow.receive(first.serve());
    shadow.detach();
    disk.powerCut();
    const second = await attach();
    await serveAll(second);
    await written;
    expect(Buffer.compare(disk.read(0, 16), data)).toBe(0);
    expect(second.batches).toEqual([1, 1, 1]);
  });

  test("a driver that knows no FUA goes on with what one that knew it began", async () => {
    const { volume, attach, shadow, disk, serveAll } = openBlock({ identity: parts });
    const first = await attach();
    const written = volume.write(0, data, { fua: true });
    await settle();
    shadow.receive(first.serve());
    shadow.detach();
    await serveAll(await attach({ fua: false }));
    await written;
    expect(Buffer.compare(disk.medium.subarray(0, data.length), data)).toBe(0);
  });
});
