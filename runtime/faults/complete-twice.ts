/** Completes what it was given twice. */
import type { FaultDefinition } from "./fault.ts";

const completeTwice: FaultDefinition = {
  name: "complete-twice",
  title: "completes requests of a queue twice",
  where: "now",
  needsQueue: true,
  run: ({ intercept, put }) => {
    const completions = 19;
    const tamper = (kind: number, id: number, tag: number, payload: Uint8Array): void => {
      put(kind, id, tag, payload);
      if (kind === completions) put(kind, id, tag, payload);
      else intercept(tamper);
    };
    intercept(tamper);
  },
  detectedAs: ["protocol-violation"],
};

export default completeTwice;
