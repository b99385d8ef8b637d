/** The device suites on QEMU's MC146818 and isa-serial; where they differ from the data sheets is declared here. */
import { describe } from "vitest";
import { qemuAvailable } from "../qemu-available.ts";
import { mc146818Suite } from "./mc146818.suite.ts";
import { qemuBench } from "./qemu-bench.ts";
import { uart16550Suite } from "./uart-16550.suite.ts";

const clock = {
  compatible: ["mc146818"],
  windows: { cmos: { kind: "port", base: 0x70, sizeBytes: 2, widths: [8] } },
  irqs: { tick: 8 },
} as const;

const serial = {
  compatible: ["uart-16550"],
  windows: { regs: { kind: "port", base: 0x3f8, sizeBytes: 8, widths: [8] } },
  irqs: { line: 4 },
} as const;

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  mc146818Suite(qemuBench(clock, [
    "rtc-update-instant", "rtc-periodic-needs-enable", "rtc-divider-edges", "rtc-century-counts", "rtc-no-daylight-savings", "rtc-periodic-ignores-divider",
    "rtc-weekday-follows-date",
  ]));
  uart16550Suite(qemuBench(serial, [
    "uart-transmit-instant", "uart-receive-instant", "uart-out2-does-not-gate", "uart-loopback-no-deltas", "uart-eight-bits", "uart-prompt-empty",
  ]));
});
