/** Block drivers that attack with their device, their queue or their answers: nobody else notices, and what their own clients read is right or refused. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { FailureKind } from "../../runtime/api/failure.ts";
import type { Volume } from "../../runtime/classes/block/volume.ts";
import { type Attacker, HostileDevices, refusal } from "./hostile-devices.ts";

/** The drivers attack from block 64 on. */
const attackAt = 64 * 512;
const page = 4_096;

/** As the I/O manager lays out the fixture's domain: two regions with a page between them. */
const queues = 0x10_0000;
const gap = queues + 0x1_0000;
const buffers = gap + page;
const buffersEnd = buffers + 0x10_0000;

interface Expected extends Attacker {
  readonly kinds: readonly FailureKind[];
  /** What the failure says. */
  readonly says?: RegExp;
  /** Its own client is told that data is lost; in all other cases it is served as if nothing was. */
  readonly loses?: true;
}

const fault = { attack: "wrong-address", kinds: ["dma-fault"] } as const;
const wrongTag = { kinds: ["protocol-violation"], says: /which is not out/ } as const;
const wrongData = { kinds: ["protocol-violation"], says: /returned wrong data for block/ } as const;

const attacks: Readonly<Record<string, Expected>> = {
  "unmapped": { ...fault, address: 0x7000_0000, says: /0x7000[01]000/ },
  "address-zero": { ...fault, address: 0 },
  "before-its-memory": { ...fault, address: queues - page },
  "between-its-regions": { ...fault, address: gap },
  "of-the-honest-disk": { ...fault, address: buffersEnd + page },
  "physical": { ...fault, address: 0x800_0000 },
  "message-page": { ...fault, address: 0xfee0_0000 },
  "device-registers": { ...fault, address: 0xe000_0000 },
  "beyond-32-bits": { ...fault, address: 2 ** 40 },
  "end-of-all": { ...fault, address: 2 ** 52 - page },
  "runs-over": { ...fault, address: buffersEnd - page },
  "foreign-queues": { attack: "foreign-queues", address: 0x6000_0000, kinds: ["dma-fault"] },
  "completes-twice": { attack: "completes-twice", ...wrongTag },
  "completes-unknown": { attack: "completes-unknown", ...wrongTag },
  "unknown-status": { attack: "unknown-status", kinds: ["protocol-violation"], says: /completed with status 99/ },
  "impossible-status": { attack: "impossible-status", kinds: ["protocol-violation"], says: /read completed with status readOnly/ },
  "floods-completions": { attack: "floods-completions", kinds: ["protocol-violation", "message-flood", "turn-limit", "hang"] },
  "reads-nothing": { attack: "reads-nothing", ...wrongData, restarts: 0 },
  "swaps-buffers": { attack: "swaps-buffers", ...wrongData },
  // Found out before a flush said that all is safe, the journal has it; after that, only its client can write it again.
  "writes-nothing": { attack: "writes-nothing", ...wrongData, restarts: 0 },
  "writes-nothing-and-flushes": { attack: "writes-nothing", ...wrongData, loses: true },
  "writes-late": { attack: "writes-late", ...wrongData, restarts: 0 },
  "message-table": { attack: "message-table", kinds: ["capability-violation"], says: /bar0/ },
};

/** Those with tests of their own. */
const special: Readonly<Record<string, Attacker>> = {
  "scribbles": { attack: "scribbles", restarts: 0 },
  "moves-windows": { attack: "moves-windows" },
  "dies-with-dma": { attack: "dies-with-dma", restarts: 0, after: "hold", device: "latencyMicros: 100000" },
  "writes-until-dead": { attack: "writes-until-dead", restarts: 0, after: "hold" },
  "held": { attack: "completes-unknown", after: "hold" },
  "records": { attack: "moves-windows", restarts: 100 },
};
const workerOnly: Readonly<Record<string, Attacker>> = { "overwrites-rings": { attack: "overwrites-rings", restarts: 2 } };

const pattern = (seed: number, sizeBytes: number): Uint8Array => Uint8Array.from({ length: sizeBytes }, (_, index) => (index * 7 + (index >> 9) + seed) & 0xff);

test("every attack has its expectation", () => {
  const folder = path.join(import.meta.dirname, "../fixtures/drivers/hostile-disk");
  const all = readdirSync(folder).filter((name) => name.endsWith(".ts") && readFileSync(path.join(folder, name), "utf8").includes("defineDriver("));
  const tested = Object.values({ ...attacks, ...special, ...workerOnly }).map(({ attack }) => `${attack}.ts`);
  expect([...new Set(tested)].sort()).toEqual(all.sort());
});

for (const tier of ["quickjs", "worker"] as const) {
  describe(tier, () => {
    let machine: HostileDevices;
    beforeAll(async () => {
      const attackers = { ...attacks, ...special, ...(tier === "worker" && workerOnly) };
      machine = await HostileDevices.open({ tier, fixture: "hostile-disk", attackers, shadow: "checksums: true" });
    });
    afterAll(() => machine[Symbol.asyncDispose]());

    test.each(Object.entries(attacks))("%s is found out, and its client has what it wrote or is told", async (name, { kinds, says, restarts = 1, loses }) => {
      const volume = machine.client(name) as Volume;
      const [honest, data] = [pattern(1, 4 * page), pattern(99, 4 * page)];
      await volume.write(attackAt, data);
      // What lay in the buffers is something else by now.
      await volume.write(0, honest);
      const read = volume.read(attackAt, data.length);
      if (loses === true) await expect(read).rejects.toMatchObject({ code: "DeviceError", fields: { status: "wrongData" } });
      else expect(await read).toEqual(data);
      const failure = await machine.until(name, "running", restarts + 1);
      for (const kind of machine.kinds(name)) expect(kinds, failure.message).toContain(kind);
      if (says !== undefined) expect(failure.message).toMatch(says);
      expect(await volume.read(0, honest.length)).toEqual(honest);
      expect(machine.status(name)).toMatchObject({ escalated: true, generation: BigInt(restarts + 2) });
      await machine.neighboursAreWell();
    });

    test("one that goes on is held after its intensity, and its clients are told", async () => {
      const volume = machine.client("held") as Volume;
      await expect(volume.write(attackAt, pattern(1, page))).rejects.toMatchObject({ code: "DriverUnavailable" });
      await machine.until("held", "held", 2);
      await expect(volume.read(0, page)).rejects.toMatchObject({ code: "DriverUnavailable" });
      await machine.neighboursAreWell();
    });

    test("noise all over its own queues harms its own disk at most", async () => {
      const volume = machine.client("scribbles") as Volume;
      const { code } = await refusal(volume.write(attackAt, pattern(1, page))) ?? {};
      expect(["DeviceError", "DeviceError", "DriverUnavailable", undefined]).toContain(code);
      await vi.waitUntil(() => machine.failures("scribbles") > 0 && ["running", "held"].includes(machine.status("scribbles").state), { timeout: 30_000, interval: 5 });
      await machine.neighboursAreWell();
    });

    test("configuration space gives it no other addresses, no other identity, and no more than it had", async () => {
      const volume = machine.client("moves-windows") as Volume;
      const data = pattern(5, 4 * page);
      await volume.write(attackAt, data);
      await volume.write(0, pattern(6, 4 * page));
      expect(await volume.read(attackAt, data.length)).toEqual(data);
      expect(machine.failures("moves-windows")).toBe(0);
      await machine.neighboursAreWell();
    });

    test("what its device was told to do before it died does not land afterwards", async () => {
      const volume = machine.client("dies-with-dma") as Volume;
      await volume.write(0, pattern(7, 2 * page));
      await expect(volume.read(attackAt, 2 * page)).rejects.toMatchObject({ code: "DriverUnavailable" });
      await machine.until("dies-with-dma", "held", 1);
      const { offset, bytes } = machine.memory("dies-with-dma", "buffers");
      machine.ram.write(offset, bytes.fill(0x5a));
      const { completed } = await machine.up.machine.platform.statistics("dies-with-dma-device");
      // Far longer than its device would have taken.
      await new Promise((resolve) => { setTimeout(resolve, 400); });
      expect(machine.memory("dies-with-dma", "buffers").bytes.every((byte) => byte === 0x5a)).toBe(true);
      expect((await machine.up.machine.platform.statistics("dies-with-dma-device"))["completed"]).toBe(completed);
      await machine.neighboursAreWell();
    });

    test("what it writes to its memory once its capabilities are gated goes nowhere", async () => {
      const name = "writes-until-dead";
      const volume = machine.client(name) as Volume;
      const refused = refusal(volume.read(attackAt, page));
      await vi.waitUntil(() => machine.up.machine.io.ledger.entries(name).some(({ action, capability }) => action === "gate" && capability === "queues"), { timeout: 30_000, interval: 1 });
      const { offset, bytes } = machine.memory(name, "queues");
      machine.ram.write(offset, bytes.fill(0x5a));
      await machine.until(name, "held", 1);
      expect(await refused).toMatchObject({ code: "DriverUnavailable" });
      expect(machine.memory(name, "queues").bytes.subarray(-256).every((byte) => byte === 0x5a)).toBe(true);
      await machine.neighboursAreWell();
    });

    test.each([
      ["completions of a queue there is not", "put(19, 7, 0, new Uint8Array(12))"],
      ["completions with a tag of their own", "put(19, 0, 5, new Uint8Array(12))"],
      ["no completions at all", "put(19, 0, 0, new Uint8Array(0))"],
      ["half a completion", "put(19, 0, 0, new Uint8Array(6))"],
      ["completions of tag 0", "put(19, 0, 0, new Uint8Array(12))"],
      ["completions of every tag there could be", "const words = new Uint32Array(3 * 1300); for (let n = 0; n < 1300; n++) words[3 * n] = n << 8; put(19, 0, 0, new Uint8Array(words.buffer))"],
      ["requests, which only the host sends", "put(6, 0, 0, new Uint8Array(32))"],
    ])("%s are a protocol violation", async (_what, code) => {
      const failures = machine.failures("records");
      machine.run("records", new Function("{ put }", code) as never);
      const { kind } = await machine.until("records", "running", failures + 1);
      expect(kind).toBe("protocol-violation");
      expect(await (machine.client("records") as Volume).read(0, page)).toHaveLength(page);
    });

    // In the quickjs tier there is no such memory to be found.
    if (tier === "worker") {
      test("indices it changes in the memory it shares with its host's other side are its own failure", async () => {
        const volume = machine.client("overwrites-rings") as Volume;
        const data = pattern(3, page);
        const { code } = await refusal(volume.write(attackAt, data)) ?? {};
        expect([undefined, "DeviceError"]).toContain(code);
        await machine.until("overwrites-rings", "running", 3);
        expect(machine.up.machine.logs.lines("overwrites-rings").filter(({ text }) => /^[1-9]\d* pieces of shared memory/.test(text))).not.toEqual([]);
        expect(await volume.read(0, page)).toHaveLength(page);
        await machine.neighboursAreWell();
      });
    }
  });
}
