/** Never acks its interrupt: the line would stay masked, for its sharers too. */
import type { FaultDefinition } from "./fault.ts";

const noAck: FaultDefinition = {
  name: "no-ack",
  title: "never acks an interrupt",
  where: "irq",
  run: () => undefined,
  detectedAs: ["irq-unacked"],
};

export default noAck;
