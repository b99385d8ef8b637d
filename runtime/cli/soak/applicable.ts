/** Which faults a driver can have: one without interrupts never misbehaves in them, one in C never does what only scripts can. */
import { firstMessageLine } from "../../bus/describe-pci.ts";
import type { FaultDefinition } from "../../faults/fault.ts";
import type { MachineDriver } from "../machine.ts";

/** Those of `faults` that make sense for this driver. */
export function applicableFaults(faults: Iterable<FaultDefinition>, { assignment: { grant, device, loaded }, shadow }: MachineDriver): FaultDefinition[] {
  const lines = grant.irqs.map(({ name }) => device.irqs[name]!);
  const hasWire = lines.some((line) => line < firstMessageLine);
  const hasQueue = shadow.contract.queueList.length > 0;
  return [...faults].filter(({ where, needsWire = false, needsQueue = false, revokes = false, tiers, needsOption }) =>
    (tiers === undefined || tiers.includes(loaded.entry.sandbox)) && (needsOption === undefined || Boolean(loaded.options[needsOption]))
    && (where !== "irq" || lines.length > 0) && (!needsWire || hasWire) && (!needsQueue || hasQueue) && (!revokes || grant.windows.length > 0));
}
