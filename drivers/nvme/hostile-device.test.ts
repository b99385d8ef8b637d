/** The NVMe driver on devices that fail, lie, fall silent or vanish: it gives up or resets, and never goes round without end. */
import { BlockOp, BlockStatus } from "airlock/driver/block";
import { describe, expect, test } from "vitest";
import { type Tampering, blockRequest, nvmeDisk } from "../../test/fixtures/nvme-disk.ts";
import { Offset } from "./registers.ts";

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const reads = (count: number, iova: number): number[][] => upTo(count).map((tag) => blockRequest(tag, BlockOp.read, { lba: tag, blocks: 1, iova }));

/** A disk with a driver that is up, and a buffer. */
async function started(options: Parameters<typeof nvmeDisk>[0] = {}) {
  const disk = nvmeDisk(options);
  const running = await disk.run();
  return { ...disk, running, iova: disk.memory.addBuffer(4096).iova };
}

const ioTail = Offset.doorbells + 8;

/** Swallows doorbells of the I/O queue: its commands stay where they are. */
const deaf = (offset: number, value: number): number | undefined => (offset === ioTail ? undefined : value);

describe("a command that takes too long", () => {
  test("has its abort asked for; when it completes after all, nothing else happens", async () => {
    const { running, tampering, registers, iova } = await started();
    let held: number | undefined;
    tampering.write = (offset, value) => {
      if (offset !== ioTail) return value;
      held = value;
      return undefined;
    };
    await running.submit("io", ...reads(2, iova));
    await running.advance(1_300);
    expect(running.logs.filter((line) => line.includes("timed out"))).toHaveLength(2);
    expect(running.takeCompletions("io")).toEqual([]);
    registers.write(ioTail, 32, held!);
    await running.advance(1);
    expect(running.takeCompletions("io")).toEqual([[0, BlockStatus.ok, 0], [1, BlockStatus.ok, 0]]);
    tampering.write = (_offset, value) => value;
    await running.submit("io", ...reads(1, iova));
    await running.advance(1_000);
    expect(running.takeCompletions("io")).toEqual([[0, BlockStatus.ok, 0]]);
    expect(running.logs.some((line) => line.includes("resetting"))).toBe(false);
  });

  test("and cannot be aborted has the controller reset, which is fit for work again", async () => {
    const { running, tampering, iova } = await started();
    tampering.write = deaf;
    await running.submit("io", ...reads(5, iova));
    await running.advance(1_600);
    expect(running.takeCompletions("io")).toEqual([]);
    await running.advance(400);
    expect(running.takeCompletions("io")).toEqual(upTo(5).map((tag) => [tag, BlockStatus.aborted, 0]));
    expect(running.logs.filter((line) => line.includes("resetting"))).toHaveLength(1);
    tampering.write = (_offset, value) => value;
    await running.submit("io", ...reads(5, iova));
    await running.advance(1);
    expect(running.takeCompletions("io")).toEqual(upTo(5).map((tag) => [tag, BlockStatus.ok, 0]));
  });

  test("keeps requests that come during a reset, and sends them after it", async () => {
    const { running, tampering, iova } = await started();
    tampering.write = deaf;
    await running.submit("io", ...reads(1, iova));
    await running.advance(1_000);
    // The controller stays ready for a while after it was disabled.
    const until = running.clock.nowMicros() + 1_200_000;
    tampering.read = (offset, value) => (offset === Offset.status && running.clock.nowMicros() < until ? value | 1 : value);
    tampering.write = (offset, value) => (offset === ioTail && running.clock.nowMicros() < until ? undefined : value);
    await running.advance(900);
    expect(running.takeCompletions("io")).toEqual([]);
    await running.submit("io", ...reads(1, iova), blockRequest(1, BlockOp.flush));
    await running.advance(1_000);
    expect(running.takeCompletions("io").map(([tag, status]) => [tag, status])).toEqual([
      [0, BlockStatus.aborted], [0, BlockStatus.ok], [1, BlockStatus.ok],
    ]);
  });

  test("again and again ends the driver", async () => {
    const { running, tampering, iova } = await started();
    tampering.write = deaf;
    await expect((async () => {
      for (let round = 0; round < 10; round++) {
        await running.submit("io", ...reads(1, iova));
        await running.advance(2_500);
        expect(running.takeCompletions("io")).toHaveLength(1);
      }
    })()).rejects.toThrow(/3 resets .* did not help/);
  });

  test("because its interrupt was lost is found without a reset", async () => {
    const { running, tampering, iova } = await started();
    tampering.silent = true;
    await running.submit("io", ...reads(3, iova));
    await running.advance(300);
    expect(running.takeCompletions("io")).toHaveLength(3);
    expect(running.logs).toEqual([]);
  });
});

describe("a controller", () => {
  test.each([
    ["that fails", 2, 2],
    ["that was reset by something else", 0, 1],
  ])("%s ends the driver, since the shadow has to make good what its cache held", async (_name, set, cleared) => {
    const { running, tampering, iova } = await started();
    tampering.write = deaf;
    await running.submit("io", ...reads(1, iova));
    tampering.read = (offset, value) => (offset === Offset.status ? (value & ~cleared) | set : value);
    await expect(running.advance(300)).rejects.toThrow(/cache .* may be lost/);
    expect(running.takeCompletions("io")).toEqual([]);
  });

  test("that vanishes ends the driver at once", async () => {
    const { running, tampering, iova } = await started();
    tampering.write = () => undefined;
    tampering.read = () => 0xffff_ffff;
    await running.submit("io", ...reads(1, iova));
    await expect(running.advance(300)).rejects.toThrow(/gone.*all ones/);
  });

  test.each([
    ["is not there", { read: () => 0xffff_ffff }, /gone/],
    ["never becomes ready", { read: (offset, value) => (offset === Offset.status ? value & ~1 : value) }, /become ready within 5000 ms/],
    ["never stops", { read: (offset, value) => (offset === Offset.status ? value | 1 : value) }, /be disabled within 5000 ms/],
    ["fails as it starts", { read: (offset, value) => (offset === Offset.status && (value & 1) === 1 ? 2 : value) }, /CSTS.CFS/],
    ["has large pages", { read: (offset, value) => (offset === Offset.capabilitiesHigh ? value | 0x10000 : value) }, /pages of at least 8192/],
    ["has no NVM command set", { read: (offset, value) => (offset === Offset.capabilitiesHigh ? value & ~0x20 : value) }, /command set/],
    ["has its doorbells too far away", { read: (offset, value) => (offset === Offset.capabilitiesHigh ? value | 0xf : value) }, /doorbells/],
    ["answers no command", { completion: () => undefined }, /did not complete it in time/],
  ] satisfies [string, Tampering, RegExp][])("that %s is refused", async (_name, tampering, message) => {
    const disk = nvmeDisk();
    Object.assign(disk.tampering, tampering);
    await expect(disk.run()).rejects.toThrow(message);
  });

  /** Changes what Identify Namespace says; the other structures have text where it has zeroes. */
  const namespaceField = (change: (bytes: Uint8Array) => void) => (bytes: Uint8Array): void => {
    if (bytes[24] === 0 && bytes[130] === 9) change(bytes);
  };
  test.each([
    ["metadata", namespaceField((bytes) => { bytes[128] = 8; }), /8 bytes of metadata/],
    ["tiny blocks", namespaceField((bytes) => { bytes[130] = 3; }), /2\^3 bytes/],
    ["huge blocks", namespaceField((bytes) => { bytes[130] = 31; }), /2\^31 bytes/],
    ["no blocks", namespaceField((bytes) => { bytes.fill(0, 0, 8); }), /empty/],
    ["more blocks than can be counted", namespaceField((bytes) => { bytes.fill(0xff, 0, 8); }), /says it has/],
    ["other queue entries", (bytes: Uint8Array) => { if (bytes[512] === 0x66) bytes[512] = 0x77; }, /submission queue entries/],
  ])("with %s is refused", async (_name, identify, message) => {
    const disk = nvmeDisk();
    disk.tampering.identify = identify;
    await expect(disk.run()).rejects.toThrow(message);
  });
});

describe("completions that lie", () => {
  const lies: [string, (words: Uint32Array) => Uint32Array, RegExp][] = [
    ["an id of no slot", (words) => words.with(3, (words[3]! & ~0xffff) | 0x00ff), /command 255, which is not outstanding/],
    ["an id beyond all", (words) => words.with(3, words[3]! | 0xffff), /command 65535, which is not outstanding/],
    ["an old id of its slot", (words) => words.with(3, words[3]! ^ 0x0100), /not outstanding/],
    ["another queue", (words) => words.with(2, (words[2]! & 0xffff) | 0x2_0000), /submission queue 2/],
    ["a head outside of the ring", (words) => words.with(2, words[2]! | 0xfff0), /head/],
    ["a head of commands it cannot have fetched", (words) => words.with(2, 0x1_0000), /head 0, while the tail is/],
  ];
  test.each(lies)("%s", async (_name, lie, message) => {
    const { running, tampering, iova } = await started();
    await running.submit("io", ...reads(3, iova));
    await running.advance(1);
    tampering.completion = (words, queue) => (queue === "io" ? lie(words) : words);
    await running.submit("io", ...reads(1, iova)).catch(() => undefined);
    await expect(running.advance(1)).rejects.toThrow(message);
  });

  test("the same twice", async () => {
    const { running, tampering, iova } = await started();
    let last: Uint32Array | undefined;
    tampering.completion = (words, queue) => {
      if (queue !== "io") return words;
      last ??= words.slice();
      return words.with(3, last[3]!);
    };
    await running.submit("io", ...reads(4, iova)).catch(() => undefined);
    await expect(running.advance(1)).rejects.toThrow(/not outstanding/);
  });

  test("a phase that is wrong is a command that is not completed, and ends in a reset", async () => {
    const { running, tampering, iova } = await started();
    tampering.completion = (words, queue) => (queue === "io" ? words.with(3, words[3]! ^ 0x1_0000) : words);
    await running.submit("io", ...reads(2, iova));
    await running.advance(2_000);
    expect(running.takeCompletions("io")).toEqual([[0, BlockStatus.aborted, 0], [1, BlockStatus.aborted, 0]]);
  });

  test("errors are told with the device's own word", async () => {
    const { running, tampering, iova } = await started();
    const statuses = [0x281, 0x4286, 0x020, 0x081, 0x007, 0x006, 0x7fff];
    let next = 0;
    tampering.completion = (words, queue) => (queue === "io" ? words.with(3, (words[3]! & 0x1_ffff) | (statuses[next++]! << 17)) : words);
    await running.submit("io", ...reads(statuses.length, iova));
    await running.advance(1);
    const { mediaError, ioError, readOnly, noSpace, aborted } = BlockStatus;
    expect(running.takeCompletions("io")).toEqual([
      [0, mediaError, 0x281], [1, ioError, 0x4286], [2, readOnly, 0x020], [3, noSpace, 0x081], [4, aborted, 0x007], [5, ioError, 0x006],
      [6, ioError, 0x7fff],
    ]);
  });

  test("of admin commands nobody sent", async () => {
    const { running, tampering, registers } = await started();
    tampering.completion = (words) => words.with(3, words[3]! ^ 0x2000);
    // Makes the device complete an event request.
    registers.write(ioTail, 32, 0x7fff);
    await expect(running.advance(1)).rejects.toThrow(/admin command .* not outstanding/);
  });
});

describe("interrupts and events", () => {
  test("interrupts without a cause cost little and change nothing", async () => {
    const { running, raise, iova } = await started();
    await running.advance(1_000);
    const { reads: before, writes } = running.accesses;
    for (let count = 0; count < 500; count++) {
      raise();
      await running.advance(1);
    }
    expect(running.accesses).toEqual({ reads: before, writes });
    await running.submit("io", ...reads(1, iova));
    await running.advance(1);
    expect(running.takeCompletions("io")).toHaveLength(1);
  });

  test("events are told, and new ones asked for", async () => {
    const { running, registers } = await started();
    for (let round = 0; round < 10; round++) {
      registers.write(ioTail, 32, 0x7fff);
      await running.advance(1_001);
      expect(running.takeEvents()).toEqual([{ name: "notice", payload: { kind: "error", code: 0x0001_0100 } }]);
    }
  });

  test("events without end are told a few per second", async () => {
    const { running, registers } = await started();
    for (let time = 0; time < 5_000; time++) {
      registers.write(ioTail, 32, 0x7fff);
      await running.advance(1);
    }
    expect(running.takeEvents().length).toBeLessThanOrEqual(24);
  });

  test("a change of the namespace is looked at, then told", async () => {
    const { running, tampering, registers } = await started();
    tampering.completion = (words, queue) => (queue === "admin" && words[0] === 0x0001_0100 ? words.with(0, 0x0004_0002) : words);
    tampering.identify = (bytes) => { if (bytes[24] === 0 && bytes[130] === 9) new Uint32Array(bytes.buffer, bytes.byteOffset, 1)[0] = 777; };
    registers.write(ioTail, 32, 0x7fff);
    await running.advance(10);
    expect(running.takeEvents()).toEqual([{ name: "notice", payload: { kind: "changed", code: 0 } }]);
    expect(await running.call("identify", {})).toMatchObject({ blocks: 777 });
  });
});
