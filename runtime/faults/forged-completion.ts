/** Completes what it was never given. */
import type { FaultDefinition } from "./fault.ts";

const forgedCompletion: FaultDefinition = {
  name: "forged-completion",
  title: "completes a request of a queue that it was never given",
  where: "now",
  needsQueue: true,
  run: ({ intercept, put }) => {
    const completions = 19;
    const tamper = (kind: number, id: number, tag: number, payload: Uint8Array): void => {
      if (kind !== completions) {
        put(kind, id, tag, payload);
        intercept(tamper);
        return;
      }
      // The first word of each entry is its tag, and half of all tags away is none that is out.
      const forged = payload.slice();
      forged[3]! ^= 0x80;
      put(kind, id, tag, forged);
    };
    intercept(tamper);
  },
  detectedAs: ["protocol-violation"],
};

export default forgedCompletion;
