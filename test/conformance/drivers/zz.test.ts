import { test, expect } from "vitest";
import { World } from "/work/main/runtime/cli/world.ts";
import { findFaults } from "/work/main/runtime/faults/find-faults.ts";
import type { Volume } from "/work/main/runtime/classes/block/volume.ts";
test("disk world with crashes", async () => {
  const world = await World.open({ file: "/work/main/runtime/machine/examples/disk.yaml", seed: 1, restart: () => ({ policy: "permanent", intensity: 1000000, periodMs: 1000, backoff: { initialMs: 0, maxMs: 1, factor: 1, decayMs: 1 }, escalate: { to: "hold" } } as never) });
  const faults = (await findFaults()) as any;
  const list = [...(faults.values?.() ?? faults)];
  try {
    const v = world.machine.client("disk") as Volume;
    await world.until(v.info());
    for (const fault of list) {
      let worst = 0;
      for (let k = 0; k < 3; k++) {
        world.machine.inject("disk", fault);
        const data = new Uint8Array(65536).fill(k + 1);
        const t0 = world.clock.nowMicros();
        try {
        await world.until(Promise.all(Array.from({ length: 16 }, (_, w) => v.write(w * 65536, data))), 5e6);
        await world.until(v.flush());
        const got = await world.until(Promise.all(Array.from({ length: 16 }, (_, w) => v.read(w * 65536, 65536))), 5e6);
        for (const g of got) expect(Buffer.compare(g, data)).toBe(0);
        } catch (e) { console.log(fault.name, String(e)); }
        worst = Math.max(worst, world.clock.nowMicros() - t0);
      }
      console.log(fault.name, "worst us", worst, JSON.stringify((world.machine.driver("disk").supervisor as any).status?.state ?? ""), (world.machine.driver("disk").supervisor as any).status?.restarts);
    }
    v.close();
  } finally { await world.close(); }
});
