/** The class suites on the least machine there is, so that a failing driver is told from a failing supervisor or sandbox. */
import rtcDriver from "../../../drivers/rtc-mc146818/driver.ts";
import templateDriver from "../../../drivers/template/driver.ts";
import uartDriver from "../../../drivers/uart-16550/driver.ts";
import type { SerialLine } from "../../../runtime/bus/device.ts";
import { openClient as openRtc } from "../../../runtime/classes/rtc/client.ts";
import { createShadow as createRtc } from "../../../runtime/classes/rtc/shadow.ts";
import { openClient as openSerial } from "../../../runtime/classes/serial/client.ts";
import { createShadow as createSerial } from "../../../runtime/classes/serial/shadow.ts";
import mc146818 from "../../../runtime/models/mc146818.ts";
import uart16550 from "../../../runtime/models/uart-16550.ts";
import { bringUp } from "./in-process.ts";
import { rtcSuite } from "./rtc.suite.ts";
import { serialSuite } from "./serial.suite.ts";

for (const [name, driver] of [["rtc-mc146818", rtcDriver], ["template", templateDriver]] as const) {
  rtcSuite({
    name: `${name} in process`,
    open: () => bringUp({
      model: mc146818, window: { name: "cmos", sizeBytes: 2 }, irq: "tick", driver, createShadow: createRtc, openClient: openRtc,
    }),
  });
}

serialSuite({
  name: "uart-16550 in process",
  open: () => {
    let line: SerialLine | undefined;
    return bringUp({
      model: uart16550, window: { name: "regs", sizeBytes: 8 }, irq: "line", driver: uartDriver,
      createShadow: createSerial, openClient: openSerial,
      peer: { connect: (port) => { line = port; }, receive: (byte) => void line?.send(Uint8Array.of(byte)), outputs: () => undefined },
    });
  },
});
