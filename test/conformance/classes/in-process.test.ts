/** The class suites on the least machine there is, so that a failing driver is told from a failing supervisor or sandbox. */
import i6300esbDriver from "../../../drivers/i6300esb/driver.ts";
import rtcDriver from "../../../drivers/rtc-mc146818/driver.ts";
import templateDriver from "../../../drivers/template/driver.ts";
import uartDriver from "../../../drivers/uart-16550/driver.ts";
import type { SerialLine } from "../../../runtime/bus/device.ts";
import { openClient as openRtc } from "../../../runtime/classes/rtc/client.ts";
import { createShadow as createRtc } from "../../../runtime/classes/rtc/shadow.ts";
import { openClient as openSerial } from "../../../runtime/classes/serial/client.ts";
import { createShadow as createSerial } from "../../../runtime/classes/serial/shadow.ts";
import { openClient as openWatchdog } from "../../../runtime/classes/watchdog/client.ts";
import { createShadow as createWatchdog } from "../../../runtime/classes/watchdog/shadow.ts";
import i6300esb from "../../../runtime/models/i6300esb.ts";
import mc146818 from "../../../runtime/models/mc146818.ts";
import uart16550 from "../../../runtime/models/uart-16550.ts";
import { bringUp } from "./in-process.ts";
import { rtcSuite } from "./rtc.suite.ts";
import { serialSuite } from "./serial.suite.ts";
import { watchdogSuite } from "./watchdog.suite.ts";

for (const [name, driver] of [["rtc-mc146818", rtcDriver], ["template", templateDriver]] as const) {
  rtcSuite({
    name: `${name} in process`,
    open: () => bringUp({
      model: mc146818, windows: { cmos: { sizeBytes: 2 } }, irq: "tick", driver, createShadow: createRtc, openClient: openRtc,
    }),
  });
}

serialSuite({
  name: "uart-16550 in process",
  open: () => {
    let line: SerialLine | undefined;
    return bringUp({
      model: uart16550, windows: { regs: { sizeBytes: 8 } }, irq: "line", driver: uartDriver,
      createShadow: createSerial, openClient: openSerial,
      peer: { connect: (port) => { line = port; }, receive: (byte) => void line?.send(Uint8Array.of(byte)), outputs: () => undefined },
    });
  },
});

watchdogSuite({
  name: "i6300esb in process",
  open: () => bringUp({
    model: i6300esb, windows: { bar0: { sizeBytes: 16, widths: [16, 32] }, config: { sizeBytes: 128, widths: [8, 16] } }, driver: i6300esbDriver,
    createShadow: createWatchdog, openClient: openWatchdog,
  }),
});
