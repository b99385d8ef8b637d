/** Sleeps in its interrupt handler, in C. */
import type { FaultDefinition } from "./fault.ts";

const sleepInIrq: FaultDefinition = {
  name: "sleep-in-irq",
  title: "sleeps in its interrupt handler",
  where: "irq",
  tiers: ["wasm"],
  // AIRLOCK_FAULT_SLEEP_IN_IRQ
  run: ({ perform }) => perform!(6),
  detectedAs: ["exception"],
};

export default sleepInIrq;
