/**
 * A loop inside one builtin, where no interpreter looks at its watch: 2,000,000,000 holes take V8 some seconds and QuickJS a
 * minute. Not endless, because V8 cannot be stopped inside it: in the worker tier the thread lives until the builtin is done.
 */
import { type FaultDefinition, scriptTiers } from "./fault.ts";

const hangBuiltin: FaultDefinition = {
  name: "hang-builtin",
  title: "loops inside one builtin",
  where: "operation",
  run: () => new Array(2e9).indexOf(3),
  tiers: scriptTiers,
  detectedAs: ["hang"],
};

export default hangBuiltin;
