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

export function sandboxMemorySuite(title: string, tier: SandboxTier, sharePages: (sizeBytes: number) => SharedPages): void {
  describe(`DMA memory in the sandbox: ${title}`, () => {
    let bench: SandboxBench;
    beforeEach(() => { bench = new SandboxBench(); });
    afterEach(() => { bench.sandbox?.dispose(); });

    const up = async (...regions: GuestRegion[]): Promise<void> => {
      bench.regions = regions;
      bench.start(await tier.load(calculator, "calculator.js", { memoryBytes: 8 * 2 ** 20, turnMs: 1000, stackBytes: 128 * 1024, sharedBytes: regions.length * (regionBytes + 4096) }));
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
        expect(await evaluate("m = new Uint8Array(bridge.memory(0)), m.length + ' ' + m[100] + ' ' + m[8191]")).toBe("8192 0 0");
        expect(await evaluate("m[100] = 5, bridge.sync(0, 100, 1, 1), m[101]")).toBe("0");
        expect([bench.device[99], bench.device[100], bench.device[101]]).toEqual([9, 5, 9]);
        expect(await evaluate("bridge.shared(0)")).toBe("0");
        expect(await evaluate("bridge.sync(0, 96, 8, 0), [...m.subarray(95, 105)].join()")).toBe("0,9,9,9,9,5,9,9,9,0");
        expect(bench.copies).toEqual([[0, 100, 1, true], [0, 96, 8, false]]);
        expect(bench.failures).toEqual([]);
      });

      test("a region's buffer is one object, which the guest can neither resize nor transfer", async () => {
        await up(copied, copied);
        expect(await evaluate("bridge.memory(0) === bridge.memory(0) || new Uint8Array(bridge.memory(0)).fill(7)[0] === new Uint8Array(bridge.memory(0))[0]")).toBe("true");
        expect(await evaluate("new Uint8Array(bridge.memory(1))[0]")).toBe("0");
      });

      test.each([
        ["another region", "bridge.sync(1, 0, 8, 1)"], ["a negative region", "bridge.sync(-1, 0, 8, 1)"], ["beyond the end", "bridge.sync(0, 8190, 4, 1)"],
        ["before the start", "bridge.sync(0, -1, 4, 0)"], ["a fraction", "bridge.sync(0, 0.5, 4, 0)"], ["endlessly much", "bridge.sync(0, 0, Infinity, 1)"],
        ["the buffer of another region", "bridge.memory(1)"], ["whether another region is shared", "bridge.shared(7)"],
      ])("%s is a denial, which finishes the guest", async (_name, code) => {
        await up(copied);
        expect(await evaluate(code)).toBeUndefined();
        expect(bench.failures[0]).toMatchObject({ code: "CapabilityViolation" });
        expect(bench.copies).toEqual([]);
      });

      test("what is no number is refused without running any of the guest's code", async () => {
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
          expect(await evaluate("m = new Uint8Array(bridge.memory(0)), [...m.subarray(4094, 4097)].join()")).toBe("1,2,3");
          expect(await evaluate("m[8191] = 77, bridge.sync(0, 0, 8192, 1), bridge.sync(0, 0, 8192, 0), 'done'")).toBe("done");
          expect([pages.device[8191], bench.copies, await evaluate("bridge.shared(0)")]).toEqual([77, [], "1"]);
          pages.revoke();
          expect(await evaluate("[m[4094], m[8191]].join()")).toBe("0,0");
          expect(await evaluate("m.fill(255), m[0]")).toBe("255");
          expect([pages.device[0], pages.device[8191]]).toEqual([0, 77]);
        } finally {
          pages.close();
        }
      });
    });
  });
}
