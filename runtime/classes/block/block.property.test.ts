/** Random calls, answers in any order, deaths and power cuts: nothing promised is lost, nothing old is read, all calls settle once. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockWorld, type Step, step } from "../../../test/fixtures/block-world.ts";
import { settle } from "../../../test/fixtures/driver-port.ts";

/** A few seconds; AIRLOCK_PROPERTY_RUNS=4000 looks longer. */
const standardRuns = 150;

const steps = fc.array(step, { minLength: 10, maxLength: 120, size: "max" });
const journalBytes = fc.constantFrom(8_192, 12_000, 65_536);

/** What went wrong in a run, in words; empty when nothing did. */
async function live(settings: ConstructorParameters<typeof BlockWorld>[0], actions: readonly Step[]): Promise<string[]> {
  const world = new BlockWorld(settings);
  const wrong: string[] = [];
  try {
    await world.attach({ fua: false, queueDepth: 4, maxTransferBytes: 4_096 });
    for (const action of actions) await world.take(action);
    await world.finish();
    world.checkMedium();
  } catch (error) {
    wrong.push(String(error));
  }
  if (world.settled !== world.made) wrong.push(`${world.made} calls, ${world.settled} settled`);
  if (world.shadow.pending !== 0) wrong.push(`${world.shadow.pending} calls left in the shadow`);
  world.shadow.close();
  await settle();
  if (world.environment.clock.pending !== 0) wrong.push("timers left");
  return [...world.environment.failures.map(({ message }) => message), ...wrong];
}

describe("whatever happens", () => {
  test.each([
    { journal: true, checksums: false }, { journal: true, checksums: true }, { journal: false, checksums: false },
  ])("nothing promised is lost: %j", async (settings) => {
    const { AIRLOCK_PROPERTY_RUNS: runs, AIRLOCK_PROPERTY_SEED: seed, AIRLOCK_PROPERTY_PATH: path } = process.env;
    const lives = async (actions: readonly Step[], bytes: number): Promise<string[]> => live({ ...settings, journalBytes: bytes }, actions);
    const property = fc.asyncProperty(steps, journalBytes, async (actions, bytes) => (await lives(actions, bytes)).length === 0);
    const found = await fc.check(property, {
      numRuns: Number(runs ?? standardRuns), ...(seed === undefined ? {} : { seed: Number(seed) }), ...(path === undefined ? {} : { path }),
    });
    const wrong = found.counterexample === null ? [] : await lives(...found.counterexample);
    const repeat = `AIRLOCK_PROPERTY_SEED=${found.seed} AIRLOCK_PROPERTY_PATH=${found.counterexamplePath} `
      + "npx vitest run --project unit runtime/classes/block/block.property.test.ts";
    expect(found.failed, `${wrong.join("; ")}\nafter ${JSON.stringify(found.counterexample)}\nrepeat: ${repeat}`).toBe(false);
  }, 600_000);
});
