/** Which faults a driver can have: one without interrupts never misbehaves in them. */
import { firstMessageLine } from "../../bus/describe-pci.ts";
import type { FaultDefinition } from "../../faults/fault.ts";
import type { MachineDriver } from "../machine.ts";

/** Those of `faults` that make sense for this driver. */
export function applicableFaults(faults: Iterable<FaultDefinition>, { assignment: { grant, device } }: MachineDriver): FaultDefinition[] {
  const lines = grant.irqs.map(({ name }) => device.irqs[name]!);
  const hasWire = lines.some((line) => line < firstMessageLine);
  return [...faults].filter(({ where, needsWire = false, revokes = false }) =>
    (where !== "irq" || lines.length > 0) && (!needsWire || hasWire) && (!revokes || grant.windows.length > 0));
}
