/** Touches a register with a wrong width. */
import type { FaultDefinition } from "./fault.ts";

const wrongWidth: FaultDefinition = {
  name: "wrong-width",
  title: "reads a register with a width its grant does not have",
  where: "operation",
  run: ({ bridge }) => {
    const granted = (JSON.parse(bridge.setup()) as { windows: { widths: number[] }[] }).windows[0]!.widths;
    // A driver that has every width is denied an access that is not aligned.
    const width = ([8, 16, 32] as const).find((each) => !granted.includes(each));
    bridge.read(0, width === undefined ? 1 : 0, width ?? 32);
  },
  detectedAs: ["capability-violation"],
};

export default wrongWidth;
