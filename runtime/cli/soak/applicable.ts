/** Which faults a driver can have: one without interrupts never misbehaves in them, one without queues completes nothing. */
import { firstMessageLine } from "../../bus/describe-pci.ts";
import type { FaultDefinition } from "../../faults/fault.ts";
import type { MachineDriver } from "../machine.ts";

/** Those of `faults` that make sense for this driver. */
export function applicableFaults(faults: Iterable<FaultDefinition>, { assignment: { grant, device }, shadow }: MachineDriver): FaultDefinition[] {
  const lines = grant.irqs.map(({ name }) => device.irqs[name]!);
  const hasWire = lines.some((line) => line < firstMessageLine);
  const hasQueue = shadow.contract.queueList.length > 0;
  return [...faults].filter(({ where, needsWire = false, needsQueue = false, revokes = false }) =>
    (where !== "irq" || lines.length > 0) && (!needsWire || hasWire) && (!needsQueue || hasQueue) && (!revokes || grant.windows.length > 0));
}
