/** Endless loop inside one builtin, where no interpreter looks at its watch. */
import type { FaultDefinition } from "./fault.ts";

const hangBuiltin: FaultDefinition = {
  name: "hang-builtin",
  title: "loops for ever inside one builtin",
  where: "operation",
  run: () => {
    // V8 skips the holes of an array; it does not skip those of an object that only looks like one.
    new Array(2e9).indexOf(3);
    return Array.prototype.indexOf.call({ length: Number.MAX_SAFE_INTEGER }, 3);
  },
  detectedAs: ["hang"],
};

export default hangBuiltin;
