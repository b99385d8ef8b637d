/** The block shadow and client: reading and writing, order, limits, restarts, and that every call settles once. */
import { describe, expect, test } from "vitest";
import { blockBytes, failing, openBlock, ops, pattern } from "../../../test/fixtures/block-bench.ts";
import { BlockTestEnvironment, TestBlockDriver } from "../../../test/fixtures/block-driver.ts";
import { TestEnvironment, settle } from "../../../test/fixtures/driver-port.ts";
import { AirlockError } from "../../api/errors.ts";
import { openClient } from "./client.ts";
import { maxCalls } from "./dispatcher.ts";
import { createShadow } from "./shadow.ts";
import type { Volume } from "./volume.ts";

describe("reading and writing", () => {
  test("what was written is read; info says what the device is", async () => {
    const { volume, attach, serveAll, disk, environment } = openBlock();
    const driver = await attach();
    expect(await volume.info()).toEqual({
      blockBytes, sizeBytes: 4_096 * blockBytes, readOnly: false, volatileCache: true, writeZeroes: true, discard: true, label: "TESTDISK 0001",
    });
    const written = volume.write(10 * blockBytes, pattern(3));
    await serveAll(driver);
    await written;
    expect(disk.read(10, 3)).toEqual(pattern(3));
    const read = volume.read(9 * blockBytes, 5 * blockBytes);
    await serveAll(driver);
    expect(await read).toEqual(new Uint8Array([...new Uint8Array(blockBytes), ...pattern(3), ...new Uint8Array(blockBytes)]));
    const flushed = volume.flush();
    await serveAll(driver);
    await flushed;
    expect(Buffer.compare(disk.medium, disk.present)).toBe(0);
    expect(environment.servedOperations).toEqual(["write", "read", "flush"]);
  });

  test("calls of one turn go down as one batch", async () => {
    const { volume, attach, serveAll } = openBlock();
    const driver = await attach();
    const reads = Array.from({ length: 10 }, (_, index) => volume.read(index * 4096, 4096));
    await serveAll(driver);
    await Promise.all(reads);
    expect(driver.batches).toEqual([10]);
  });

  test("a large call is split and put together again", async () => {
    const { volume, attach, serveAll } = openBlock({ identity: { maxTransferBytes: 8_192, queueDepth: 4 } });
    const driver = await attach();
    const data = pattern(200);
    const written = volume.write(0, data);
    await settle();
    expect(ops(driver.open)).toEqual(["write 0+16", "write 16+16", "write 32+16", "write 48+16"]);
    await serveAll(driver);
    await written;
    const read = volume.read(0, data.length);
    await serveAll(driver);
    expect(Buffer.compare(await read, data)).toBe(0);
  });
});

describe("what is asked for wrongly", () => {
  test.each([
    ["an offset within a block", (volume: Volume) => volume.read(100, blockBytes), "InvalidArgument"],
    ["a size that is no whole blocks", (volume: Volume) => volume.write(0, new Uint8Array(100)), "InvalidArgument"],
    ["a range beyond the end", (volume: Volume) => volume.read(4_095 * blockBytes, 2 * blockBytes), "InvalidArgument"],
    ["a negative offset", (volume: Volume) => volume.discard(-blockBytes, blockBytes), "InvalidArgument"],
    ["no number", (volume: Volume) => volume.read(Number.NaN, blockBytes), "InvalidArgument"],
    ["too much at once", (volume: Volume) => volume.writeZeroes(0, 33_554_432 + blockBytes), "InvalidArgument"],
    ["no bytes", (volume: Volume) => volume.write(0, "text" as unknown as Uint8Array), "InvalidArgument"],
  ])("%s is refused", async (_name, call, code) => {
    const { volume, attach } = openBlock();
    await attach();
    await expect(call(volume)).rejects.toMatchObject({ code });
  });

  test("what the device cannot do is Unsupported; nothing is sent", async () => {
    const { volume, attach } = openBlock({ identity: { writeZeroes: false, discard: false } });
    const driver = await attach();
    await expect(volume.writeZeroes(0, blockBytes)).rejects.toMatchObject({ code: "Unsupported" });
    await expect(volume.discard(0, blockBytes)).rejects.toMatchObject({ code: "Unsupported" });
    expect(driver.batches).toEqual([]);
  });

  test("a read-only device is not written to", async () => {
    const { volume, attach } = openBlock({ identity: { readOnly: true } });
    await attach();
    await expect(volume.write(0, pattern(1))).rejects.toMatchObject({ code: "Unsupported", fields: { status: "readOnly" } });
  });

  test("nothing is done for a size of 0", async () => {
    const { volume, attach } = openBlock();
    const driver = await attach();
    expect(await volume.read(blockBytes, 0)).toHaveLength(0);
    await volume.write(4_096 * blockBytes, new Uint8Array(0));
    expect(driver.batches).toEqual([]);
  });

  test.each([
    [{ journal: "yes" }], [{ journalBytes: 1 }], [{ journalBytes: 1e12 }], [{ jurnal: true }], [{ toString: true }],
  ])("settings %j are refused", (settings) => {
    expect(() => createShadow(new BlockTestEnvironment(settings as Record<string, boolean>))).toThrow(AirlockError);
  });

  test("a driver without buffers is refused", () => {
    expect(() => createShadow(new TestEnvironment())).toThrow(/"use": "buffers"/);
  });
});

describe("order", () => {
  test("calls that overlap wait for each other, others do not, reads do not wait for reads", async () => {
    const { volume, attach, shadow, serveAll } = openBlock();
    const driver = await attach();
    const done: string[] = [];
    const calls = [
      volume.write(0, pattern(2, 1)).then(() => done.push("a")),
      volume.write(blockBytes, pattern(2, 2)).then(() => done.push("b")),
      volume.read(2 * blockBytes, 2 * blockBytes).then(() => done.push("c")),
      volume.read(3 * blockBytes, blockBytes).then(() => done.push("d")),
      volume.write(8 * blockBytes, pattern(1)).then(() => done.push("e")),
    ];
    await settle();
    expect(ops(driver.open)).toEqual(["write 0+2", "read 3+1", "write 8+1"]);
    shadow.receive(driver.serve([driver.open[0]!]));
    await settle();
    expect(ops(driver.open)).toEqual(["read 3+1", "write 8+1", "write 1+2"]);
    await serveAll(driver);
    await Promise.all(calls);
    expect(done.indexOf("a")).toBeLessThan(done.indexOf("b"));
    expect(done.indexOf("b")).toBeLessThan(done.indexOf("c"));
  });

  test("a flush waits for nothing", async () => {
    const { volume, attach, serveAll } = openBlock();
    const driver = await attach();
    const calls = [volume.write(0, pattern(1)), volume.flush()];
    await settle();
    expect(ops(driver.open)).toEqual(["write 0+1", "flush 0+0"]);
    await serveAll(driver);
    await Promise.all(calls);
  });

  test("more than the driver may have waits here, and more than may wait is refused", async () => {
    const { volume, attach, serveAll, shadow } = openBlock({ identity: { queueDepth: 4 } });
    const driver = await attach();
    const calls = Array.from({ length: maxCalls }, (_, index) => volume.read(index % 4_096 * blockBytes, blockBytes));
    await expect(volume.read(0, blockBytes)).rejects.toMatchObject({ code: "QueueFull" });
    await settle();
    expect(driver.open).toHaveLength(4);
    expect(shadow.pending).toBe(maxCalls);
    await serveAll(driver);
    await Promise.all(calls);
    expect(shadow.pending).toBe(0);
  });

  test("large calls take turns, and what they took in memory is given back", async () => {
    const largest = 33_554_432;
    const { volume, attach, serveAll, shadow } = openBlock({ blocks: largest / blockBytes, identity: { maxTransferBytes: 262_144 } });
    const driver = await attach();
    // Together more than may be under way at once; one after the other more than may wait.
    const together = [volume.read(0, largest), volume.read(0, largest), volume.read(0, largest)];
    await serveAll(driver);
    for (const data of await Promise.all(together)) expect(data).toHaveLength(largest);
    for (let round = 0; round < 6; round++) {
      const read = volume.read(0, largest);
      await serveAll(driver);
      expect(await read).toHaveLength(largest);
    }
    expect(shadow.pending).toBe(0);
  });

  test("a large call gets its turn among small ones", async () => {
    const { volume, attach, shadow } = openBlock({ bufferBytes: 65_536, identity: { queueDepth: 64 } });
    const driver = await attach();
    let isLargeDone = false;
    const more = (): Promise<unknown> => volume.read(0, blockBytes).then(() => (isLargeDone ? undefined : more()));
    const small = Array.from({ length: 16 }, () => more());
    await settle();
    const large = volume.read(0, 16_384).then(() => { isLargeDone = true; return isLargeDone; });
    for (let round = 0; round < 200 && driver.open.length > 0; round++) {
      shadow.receive(driver.serve([driver.open[round % driver.open.length]!]));
      await settle();
    }
    expect(isLargeDone).toBe(true);
    await large;
    while (driver.open.length > 0) {
      shadow.receive(driver.serve());
      await settle();
    }
    await Promise.all(small);
  });
});

describe("restarts", () => {
  test("what a driver had is given to the next one first, in its order", async () => {
    const { volume, attach, shadow, serveAll, environment } = openBlock({ identity: { queueDepth: 4 } });
    const first = await attach();
    const calls = [
      volume.write(0, pattern(2)), volume.read(8 * blockBytes, blockBytes), volume.flush(), volume.discard(20 * blockBytes, blockBytes),
      volume.writeZeroes(30 * blockBytes, blockBytes), volume.read(40 * blockBytes, blockBytes),
    ];
    await settle();
    const had = ops(first.open);
    expect(had).toEqual(["write 0+2", "read 8+1", "flush 0+0", "discard 20+1"]);
    shadow.detach();
    environment.buffers.bytes.fill(0xee);
    const second = await attach();
    expect(ops(second.open)).toEqual(had);
    await serveAll(second);
    await Promise.all(calls);
    expect(environment.servedOperations.toSorted()).toEqual(["discard", "flush", "read", "read", "write", "writeZeroes"]);
  });

  test("a driver that can do less gets smaller transfers", async () => {
    const { volume, attach, shadow, serveAll } = openBlock();
    await attach();
    const data = pattern(100);
    const written = volume.write(0, data);
    const read = volume.read(200 * blockBytes, 100 * blockBytes);
    await settle();
    shadow.detach();
    const second = await attach({ maxTransferBytes: 4_096, queueDepth: 3 });
    expect(second.open).toHaveLength(3);
    await serveAll(second);
    await written;
    expect(await read).toHaveLength(100 * blockBytes);
    const back = volume.read(0, data.length);
    await serveAll(second);
    expect(Buffer.compare(await back, data)).toBe(0);
  });

  test("a driver may die at any moment of coming up", async () => {
    const { volume, attach, shadow, disk, environment, begin, serveAll } = openBlock();
    await serveAll(await attach());
    const write = volume.write(0, pattern(1));
    await settle();
    shadow.detach();
    const silent = new TestBlockDriver(disk, environment.buffers);
    const unanswered = shadow.attach(silent);
    shadow.detach();
    expect(await unanswered).toBe(false);
    const { driver } = await begin();
    await serveAll(driver);
    await write;
    shadow.detach();
    const { driver: replaying, attached } = await begin();
    expect(ops(replaying.open)).toEqual(["write 0+1"]);
    shadow.detach();
    expect(await attached).toBe(false);
    await serveAll(await attach());
    expect(environment.failures).toEqual([]);
  });

  test("calls made before the first driver wait for it", async () => {
    const { volume, attach, serveAll } = openBlock();
    const calls = [volume.info(), volume.write(0, pattern(1)), volume.read(0, blockBytes)] as const;
    await serveAll(await attach());
    await calls[1];
    expect(Buffer.compare(await calls[2], pattern(1))).toBe(0);
    expect(await calls[0]).toMatchObject({ blockBytes });
  });

  test("a held driver fails what is pending and what is new, until it is released", async () => {
    const { volume, attach, shadow, serveAll } = openBlock();
    await attach();
    const held = new AirlockError("DriverUnavailable", "device: held");
    const calls = [volume.read(0, blockBytes), volume.write(blockBytes, pattern(1)), volume.flush()];
    const rejected = Promise.all(calls.map((call) => failing(call, held)));
    await settle();
    shadow.giveUp(held);
    await rejected;
    expect(shadow.state).toBe("unavailable");
    await expect(volume.read(0, blockBytes)).rejects.toBe(held);
    expect(shadow.pending).toBe(0);
    const driver = await attach();
    const read = volume.read(0, blockBytes);
    await serveAll(driver);
    expect(await read).toHaveLength(blockBytes);
  });

  test("a volume that is closed rejects its own calls only; what the driver has goes on", async () => {
    const { volume, attach, shadow, serveAll } = openBlock({ identity: { queueDepth: 2 } });
    const driver = await attach();
    const other = openClient(shadow);
    const mine = [0, 1, 2, 3].map((index) => volume.write(index * blockBytes, pattern(1)));
    const rejected = Promise.all(mine.map((call) => failing(call, { code: "Closed" })));
    const theirs = other.read(0, blockBytes);
    await settle();
    volume.close();
    volume.close();
    await rejected;
    await expect(volume.flush()).rejects.toMatchObject({ code: "Closed" });
    await expect(volume.info()).rejects.toMatchObject({ code: "Closed" });
    await serveAll(driver);
    expect(await theirs).toHaveLength(blockBytes);
    expect(shadow.pending).toBe(0);
    expect(driver.batches).toEqual([2, 1]);
  });

  test("closing the device rejects everything", async () => {
    const { volume, shadow, environment } = openBlock();
    const calls = [volume.info(), volume.read(0, blockBytes)];
    const rejected = Promise.all(calls.map((call) => failing(call, { code: "Closed" })));
    shadow.close();
    shadow.close();
    await rejected;
    await expect(volume.info()).rejects.toMatchObject({ code: "Closed" });
    expect(environment.clock.pending).toBe(0);
  });

  test("a probe asks the driver and no client notices", async () => {
    const { attach, shadow, environment } = openBlock();
    const driver = await attach();
    const probed = shadow.probe();
    shadow.receive(driver.identify());
    await probed;
    expect(environment.servedOperations).toEqual([]);
  });
});

describe("a device that is not the one that was opened", () => {
  test.each([
    ["size", { blocks: 4_095 }], ["block size", { blockBytes: 1_024, blocks: 2_048 }], ["label", { label: new TextEncoder().encode("OTHER") }],
  ])("another %s is the driver's failure; after three drivers the volume is over", async (_name, changed) => {
    const { volume, attach, shadow, disk, environment } = openBlock();
    await attach();
    const read = volume.read(0, blockBytes);
    const rejected = failing(read, { code: "HardwareLost", fields: { status: "changed" } });
    for (let round = 0; round < 2; round++) {
      shadow.detach();
      const driver = new TestBlockDriver(disk, environment.buffers);
      const attached = shadow.attach(driver);
      shadow.receive(driver.identify(changed));
      expect(await attached).toBe(false);
      expect(environment.failures).toHaveLength(round + 1);
    }
    shadow.detach();
    const driver = new TestBlockDriver(disk, environment.buffers);
    const attached = shadow.attach(driver);
    shadow.receive(driver.identify(changed));
    expect(await attached).toBe(true);
    await rejected;
    await expect(volume.read(0, blockBytes)).rejects.toMatchObject({ code: "HardwareLost" });
    expect(environment.failures).toHaveLength(2);
  });

  test("a driver that lies once is forgotten", async () => {
    const { volume, attach, shadow, disk, environment, serveAll } = openBlock();
    await attach();
    const read = volume.read(0, blockBytes);
    await settle();
    shadow.detach();
    const liar = new TestBlockDriver(disk, environment.buffers);
    const attached = shadow.attach(liar);
    shadow.receive(liar.identify({ blocks: 1 }));
    expect(await attached).toBe(false);
    shadow.detach();
    await serveAll(await attach());
    expect(await read).toHaveLength(blockBytes);
  });
});
