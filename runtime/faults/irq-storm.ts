/** Acks without servicing the device, which raises the line at once again: a storm. */
import type { FaultDefinition } from "./fault.ts";

const irqStorm: FaultDefinition = {
  name: "irq-storm",
  title: "acks its interrupt without clearing the cause",
  where: "irq",
  needsWire: true,
  run: ({ again, bridge, record }) => {
    again();
    bridge.irq(record.id, 3);
  },
  detectedAs: ["irq-storm"],
};

export default irqStorm;
