/** Throws in the interrupt handler, before the line is acked. */
import type { FaultDefinition } from "./fault.ts";

const irqThrow: FaultDefinition = {
  name: "irq-throw",
  title: "throws in its interrupt handler",
  where: "irq",
  run: () => { throw new Error("injected: irq-throw"); },
  detectedAs: ["exception"],
};

export default irqThrow;
