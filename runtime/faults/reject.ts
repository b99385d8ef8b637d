/** Rejects: what an operation awaits goes wrong. */
import type { FaultDefinition } from "./fault.ts";

const reject: FaultDefinition = {
  name: "reject",
  title: "answers an operation with a rejected promise",
  where: "operation",
  run: () => Promise.reject(new Error("injected: reject")),
  detectedAs: ["exception"],
};

export default reject;
