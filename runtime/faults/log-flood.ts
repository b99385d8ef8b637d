/** Floods the log. */
import type { FaultDefinition } from "./fault.ts";

const logFlood: FaultDefinition = {
  name: "log-flood",
  title: "floods its log",
  where: "operation",
  run: ({ bridge }) => { for (let line = 0; line < 100_000; line++) bridge.log(30, `injected: line ${line}`); },
  detectedAs: ["log-flood"],
};

export default logFlood;
