/** Never answers: the driver lost the request, but is well otherwise. */
import type { FaultDefinition } from "./fault.ts";

const silence: FaultDefinition = {
  name: "silence",
  title: "never answers an operation",
  where: "operation",
  run: () => new Promise(() => undefined),
  detectedAs: ["deadline"],
};

export default silence;
