/** Whatever a device writes into its rings, the NVMe driver completes each request once, or fails; it invents and loses none. */
import { BlockOp } from "airlock/driver/block";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { blockRequest, nvmeDisk } from "../../test/fixtures/nvme-disk.ts";

const word = fc.nat({ max: 0xffff_ffff });
/** Status words near the truth: small ids, either phase. */
const plausible = fc.record({ slot: fc.nat({ max: 9 }), use: fc.nat({ max: 3 }), phase: fc.nat({ max: 1 }), field: fc.constantFrom(0, 0, 7, 0x281) })
  .map(({ slot, use, phase, field }) => ((field << 17) | (phase << 16) | (use << 8) | slot) >>> 0);

const head = fc.oneof(word, fc.nat({ max: 15 }).map((n) => n | 0x1_0000));
const mask = fc.oneof(word, fc.nat({ max: 31 }).map((bit) => (1 << bit) >>> 0));
const status = fc.oneof(word, plausible);

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("submit" as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(0, 1, 300, 1_500) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("write" as const), entry: fc.nat({ max: 15 }), head, status }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("change" as const), at: fc.nat({ max: 3 }), mask }) },
  { weight: 1, arbitrary: fc.constant({ kind: "swallow" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "behave" as const }) },
);

/** Time after which every command was completed, aborted or ended by a reset. */
const enoughMs = 8_000;
const depth = 8;

test("any device", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30, size: "max" }), async (steps) => {
    const { run, memory, base, layout, tampering, raise } = nvmeDisk({ driver: { queueDepth: depth } });
    const running = await run();
    const { iova } = memory.addBuffer(4_096);
    const out = new Set<number>();
    let nextTag = 1;
    const collect = (): void => {
      for (const [tag] of running.takeCompletions("io")) expect([tag, out.delete(tag!)]).toEqual([tag, true]);
    };
    const perform = async (one: (typeof steps)[number]): Promise<void> => {
      if (one.kind === "submit") {
        const tags = Array.from({ length: Math.min(one.count, depth - out.size) }, () => nextTag++);
        for (const tag of tags) out.add(tag);
        if (tags.length > 0) await running.submit("io", ...tags.map((tag) => blockRequest(tag, BlockOp.read, { lba: tag, blocks: 1, iova })));
      } else if (one.kind === "write") {
        memory.write(base + layout.ioCompletion + one.entry * 16, new Uint8Array(Uint32Array.of(0, 0, one.head, one.status).buffer));
        raise();
      } else if (one.kind === "change") {
        tampering.completion = (words, queue) => (queue === "io" ? words.with(one.at, (words[one.at]! ^ one.mask) >>> 0) : words);
      } else if (one.kind === "swallow") {
        tampering.completion = (words, queue) => (queue === "io" ? undefined : words);
      } else if (one.kind === "behave") {
        delete tampering.completion;
      }
      await running.advance(one.kind === "wait" ? one.ms : 0);
    };
    try {
      for (const one of steps) {
        await perform(one);
        collect();
      }
      delete tampering.completion;
      await running.advance(enoughMs);
    } catch (error) {
      // It found out. What it completed before that still has to be right.
      expect(String(error)).toMatch(/the device lies|did not help/);
      collect();
      return;
    }
    collect();
    expect([...out]).toEqual([]);
  }), { numRuns: 150 });
});
