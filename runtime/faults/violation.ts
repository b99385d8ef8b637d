/** Touches a register outside its grant. */
import type { FaultDefinition } from "./fault.ts";

const violation: FaultDefinition = {
  name: "violation",
  title: "reads a register outside its grant",
  where: "operation",
  run: ({ bridge }) => {
    const [window] = (JSON.parse(bridge.setup()) as { windows: { sizeBytes: number; widths: (8 | 16 | 32)[] }[] }).windows;
    bridge.read(0, window!.sizeBytes, window!.widths[0]!);
  },
  detectedAs: ["capability-violation"],
};

export default violation;
