/** Throws in an operation. */
import type { FaultDefinition } from "./fault.ts";

const throwing: FaultDefinition = {
  name: "throw",
  title: "throws in an operation",
  where: "operation",
  run: () => { throw new Error("injected: throw"); },
  detectedAs: ["exception"],
};

export default throwing;
