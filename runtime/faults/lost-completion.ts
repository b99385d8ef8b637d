/** Never says that requests are done: the device has performed them, and the driver forgot. */
import type { FaultDefinition } from "./fault.ts";

const lostCompletion: FaultDefinition = {
  name: "lost-completion",
  title: "loses completions of a queue",
  where: "now",
  needsQueue: true,
  run: ({ intercept, put }) => {
    const completions = 19;
    const tamper = (kind: number, id: number, tag: number, payload: Uint8Array): void => {
      if (kind === completions) return;
      put(kind, id, tag, payload);
      intercept(tamper);
    };
    intercept(tamper);
  },
  detectedAs: ["deadline"],
};

export default lostCompletion;
