/** A rehearsal ends by itself, within any limits. */
import { expect, test } from "vitest";
import { createQuickJsTier } from "../sandbox/quickjs/tier.ts";
import type { LoadedSandbox, SandboxTier } from "../sandbox/sandbox.ts";
import { workerTier } from "../sandbox/worker/tier.ts";
import type { HostLimits } from "./driver-host.ts";
import { rehearse } from "./rehearsal.ts";

const limits: HostLimits = { memoryBytes: 16 * 2 ** 20, turnMs: 1_000, stackBytes: 262_144, hangMs: 5_000, initMs: 20_000, logPerSecond: 100 };

/** A tier that counts the turns of what it loads. */
function counted(tier: SandboxTier): { tier: SandboxTier; turns(): number; disposed(): number } {
  let turns = 0;
  let disposed = 0;
  const count = (loaded: LoadedSandbox): LoadedSandbox => ({
    start: (calls, regions) => {
      const sandbox = loaded.start(calls, regions);
      return {
        tier: sandbox.tier, inject: (where, code) => sandbox.inject(where, code), memoryBytes: () => sandbox.memoryBytes(),
        turn: (records) => { turns++; sandbox.turn(records); }, dispose: () => { disposed++; sandbox.dispose(); },
      };
    },
    dispose: () => loaded.dispose(),
  });
  return { tier: { name: tier.name, load: async (...all) => count(await tier.load(...all)) }, turns: () => turns, disposed: () => disposed };
}

test.each([createQuickJsTier(), workerTier])("it runs the same turns again and again, and leaves nothing: $name", async (tier) => {
  const subject = counted(tier);
  await rehearse(subject.tier, limits);
  expect(subject.turns()).toBe(400);
  expect(subject.disposed()).toBe(1);
});

test("limits that no turn keeps to end it early, and it is no failure of the driver that comes", async () => {
  const subject = counted({
    name: "quickjs",
    load: () => Promise.resolve({
      start: (calls) => ({
        tier: "quickjs", inject: () => undefined, memoryBytes: () => 0, dispose: () => undefined,
        turn: () => calls.failed({ kind: "turn-limit", phase: "init", name: "Limit", message: "too long", stack: "" }),
      }),
      dispose: () => undefined,
    }),
  });
  await rehearse(subject.tier, limits);
  expect(subject.turns()).toBe(1);
});
