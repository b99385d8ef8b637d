/** Catastrophic backtracking in a regular expression. */
import { type FaultDefinition, scriptTiers } from "./fault.ts";

const hangRegexp: FaultDefinition = {
  name: "hang-regexp",
  title: "backtracks for ever in a regular expression",
  where: "operation",
  run: () => /^(a+)+$/.test(`${"a".repeat(64)}b`),
  tiers: scriptTiers,
  detectedAs: ["turn-limit", "hang"],
};

export default hangRegexp;
