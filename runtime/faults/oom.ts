/** Exhausts memory. V8 collects garbage for so long before it gives up that the watchdog may be first. */
import { type FaultDefinition, scriptTiers } from "./fault.ts";

const oom: FaultDefinition = {
  name: "oom",
  title: "exhausts its memory",
  where: "operation",
  run: () => {
    // Both on and off the heap: each engine limits one of them.
    const hoard: unknown[] = [];
    for (;;) hoard.push(new Uint8Array(1 << 20), new Array(1 << 16).fill(hoard));
  },
  tiers: scriptTiers,
  detectedAs: ["memory", "hang", "turn-limit"],
};

export default oom;
