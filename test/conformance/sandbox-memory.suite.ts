/** The part of the sandbox suite about DMA memory: shared where the addon can, copied at sync calls elsewhere, gone when revoked. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RecordKind } from "../../runtime/api/records.ts";
import type { GuestRegion, SandboxTier } from "../../runtime/sandbox/sandbox.ts";
import { SandboxBench } from "./sandbox-bench.ts";

const regionBytes = 8192;

/** A guest that performs the text of its requests as code with `bridge`, and logs what that gives. */
const calculator = `(bridge) => (length) => {
  const text = String.fromCharCode(...new Uint8Array(bridge.inbox, 16, new DataView(bridge.inbox).getUint32(0, true)));
  if (text !== "") bridge.log(30, String(eval("(" + text + ")")));
}`;

/** Pages that tier and test have in common, as the addon lays them; and how to take them from the guest. */
export interface SharedPages {
  readonly region: GuestRegion;
  /** The device's view. */
  readonly device: Uint8Array;
  revoke(): void;
  close(): void;
}

/** What a guest is told to do with its memory, in its own language. */
interface Commands {
  /** Bytes as "1,2,3". */
  peek(region: number, offset: number, count: number): string;
  poke(region: number, offset: number, value: number): string;
  sync(region: number, offset: number, sizeBytes: number, toDevice: 0 | 1): string;
  shared(region: number): string;
}

const script: Commands = {
  peek: (region, offset, count) => `[...new Uint8Array(bridge.memory(${region})).subarray(${offset}, ${offset + count})].join()`,
  poke: (region, offset, value) => `new Uint8Array(bridge.memory(${region}))[${offset}] = ${value}`,
  sync: (region, offset, sizeBytes, toDevice) => `bridge.sync(${region}, ${offset}, ${sizeBytes}, ${toDevice})`,
  shared: (region) => `bridge.shared(${region})`,
};
const probe: Commands = {
  peek: (region, offset, count) => `peek ${region} ${offset} ${count}`,
  poke: (region, offset, value) => `poke ${region} ${offset} ${value}`,
  sync: (region, offset, sizeBytes, toDevice) => `sync ${region} ${offset} ${sizeBytes} ${toDevice}`,
  shared: (region) => `shared ${region}`,
};

export function sandboxMemorySuite(title: string, tier: SandboxTier, sharePages: (sizeBytes: number) => SharedPages): void {
  describe(`DMA memory in the sandbox: ${title}`, () => {
    const isScript = tier.name !== "wasm";
    const tell = isScript ? script : probe;
    let bench: SandboxBench;
    beforeEach(() => { bench = new SandboxBench(); });
    afterEach(() => { bench.sandbox?.dispose(); });

    const up = async (...regions: GuestRegion[]): Promise<void> => {
      bench = new SandboxBench({}, regions.map(({ sizeBytes }, index) => ({ name: `region${index}`, iova: 0x1_0000 * (index + 1), sizeBytes })));
      bench.regions = regions;
      const limits = { memoryBytes: 8 * 2 ** 20, turnMs: 1000, stackBytes: 128 * 1024, sharedBytes: regions.length * (regionBytes + 4096) };
      await bench.load(tier, isScript ? calculator : undefined, limits);
      if (!isScript) await bench.deliver(RecordKind.init, 0, 0);
    };
    /** What the guest answers; undefined when it says nothing, because it failed or had nothing to say. */
    const ask = async (command: string): Promise<string | undefined> => {
      if (isScript) return evaluate(command);
      await bench.command(command);
      return bench.said.at(-1);
    };
    const evaluate = async (code: string): Promise<string | undefined> => {
      bench.logs.length = 0;
      await bench.deliver(RecordKind.request, 0, 1, new TextEncoder().encode(code));
      return bench.logs[0]?.[1];
    };
    const copied: GuestRegion = { sizeBytes: regionBytes, layOver: () => false, map: () => undefined };

    describe("without pages in common", () => {
      test("it starts zeroed, and each side sees the other's bytes at sync calls only", async () => {
        await up(copied);
        bench.device.fill(9);
        expect([await ask(tell.peek(0, 100, 1)), await ask(tell.peek(0, 8191, 1))]).toEqual(["0", "0"]);
        await ask(tell.poke(0, 100, 5));
        await ask(tell.sync(0, 100, 1, 1));
        expect([bench.device[99], bench.device[100], bench.device[101]]).toEqual([9, 5, 9]);
        expect(await ask(tell.peek(0, 101, 1))).toBe("0");
        expect(await ask(tell.shared(0))).toBe("0");
        await ask(tell.sync(0, 96, 8, 0));
        expect(await ask(tell.peek(0, 95, 10))).toBe("0,9,9,9,9,5,9,9,9,0");
        expect(bench.copies).toEqual([[0, 100, 1, true], [0, 96, 8, false]]);
        expect(bench.failures).toEqual([]);
      });

      test("regions are apart", async () => {
        await up(copied, copied);
        for (const offset of [0, 8191]) await ask(tell.poke(0, offset, 7));
        expect([await ask(tell.peek(0, 0, 1)), await ask(tell.peek(1, 0, 1)), await ask(tell.peek(1, 8191, 1))]).toEqual(["7", "0", "0"]);
      });

      test.each([
        ["another region", 1, 0, 8], ["a negative region", -1, 0, 8], ["beyond the end", 0, 8190, 4], ["before the start", 0, -1, 4], ["all addresses", 0, 0, -1],
      ])("sync of %s is a denial, which finishes the guest", async (_name, region, offset, sizeBytes) => {
        await up(copied);
        expect(await ask(tell.sync(region, offset, sizeBytes, 1))).toBeUndefined();
        expect(bench.failures[0]).toMatchObject({ code: "CapabilityViolation" });
        expect(bench.copies).toEqual([]);
      });

      if (isScript) test("a region's buffer is one object, which the guest can neither resize nor transfer", async () => {
        await up(copied, copied);
        expect(await evaluate("bridge.memory(0) === bridge.memory(0) || new Uint8Array(bridge.memory(0)).fill(7)[0] === new Uint8Array(bridge.memory(0))[0]")).toBe("true");
        expect(await evaluate("new Uint8Array(bridge.memory(1))[0]")).toBe("0");
      });

      if (isScript) test.each([
        ["a fraction", "bridge.sync(0, 0.5, 4, 0)"], ["endlessly much", "bridge.sync(0, 0, Infinity, 1)"],
        ["the buffer of another region", "bridge.memory(1)"], ["whether another region is shared", "bridge.shared(7)"],
      ])("%s is a denial, which finishes the guest", async (_name, code) => {
        await up(copied);
        expect(await evaluate(code)).toBeUndefined();
        expect(bench.failures[0]).toMatchObject({ code: "CapabilityViolation" });
        expect(bench.copies).toEqual([]);
      });

      if (isScript) test("what is no number is refused without running any of the guest's code", async () => {
        await up(copied);
        await evaluate("bridge.sync(0, { valueOf() { bridge.log(40, 'converted'); return 0; } }, 8, 1)");
        expect(bench.logs.filter(([, text]) => text === "converted")).toEqual([]);
        expect(bench.copies).toEqual([]);
      });
    });

    describe("with the addon's pages", () => {
      test("both see the same bytes at once, sync calls copy nothing, and revocation leaves zeros", async () => {
        const pages = sharePages(regionBytes);
        try {
          pages.device.set([1, 2, 3], 4094);
          await up(pages.region);
          expect(await ask(tell.peek(0, 4094, 3))).toBe("1,2,3");
          await ask(tell.poke(0, 8191, 77));
          await ask(tell.sync(0, 0, 8192, 1));
          await ask(tell.sync(0, 0, 8192, 0));
          expect([pages.device[8191], bench.copies, await ask(tell.shared(0))]).toEqual([77, [], "1"]);
          pages.revoke();
          expect([await ask(tell.peek(0, 4094, 1)), await ask(tell.peek(0, 8191, 1))]).toEqual(["0", "0"]);
          await ask(tell.poke(0, 0, 255));
          expect(await ask(tell.peek(0, 0, 1))).toBe("255");
          expect([pages.device[0], pages.device[8191], bench.failures]).toEqual([0, 77, []]);
        } finally {
          pages.close();
        }
      });
    });
  });
}
