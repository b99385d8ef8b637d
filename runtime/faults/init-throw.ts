/** Throws in init: a failure during recovery. */
import type { FaultDefinition } from "./fault.ts";

const initThrow: FaultDefinition = {
  name: "init-throw",
  title: "throws in init",
  where: "init",
  run: () => { throw new Error("injected: init-throw"); },
  detectedAs: ["exception"],
};

export default initThrow;
