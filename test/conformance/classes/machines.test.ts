/** The class suites on whole machines over threads: simulated hardware and QEMU, each tier, crashes by the operator's kill. */
import { describe } from "vitest";
import type { RtcClient } from "../../../runtime/classes/rtc/client.ts";
import type { SerialPort } from "../../../runtime/classes/serial/port.ts";
import type { TierName } from "../../../runtime/sandbox/sandbox.ts";
import { qemuAvailable } from "../qemu-available.ts";
import type { ClassBench } from "./bench.ts";
import { openMachine } from "./machine-bench.ts";
import { rtcSuite } from "./rtc.suite.ts";
import { serialSuite } from "./serial.suite.ts";

/**
 * Simulated hardware runs in real time: at 115200 baud the FIFO overruns when a busy machine does not schedule the driver's
 * thread for 1.4 ms, as with real hardware, and the client is told. The suite is about the class, so the line starts slower.
 */
const calmBaud = 19_200;

async function openSerial(file: string, sandbox: TierName): Promise<ClassBench<SerialPort>> {
  const bench = await openMachine<SerialPort>(file, sandbox, "console");
  await bench.client.configure({ baudRate: calmBaud });
  return bench;
}

function suites(platform: string, file: string): void {
  for (const tier of ["quickjs", "worker"] as const) {
    rtcSuite({ name: `rtc-mc146818 on ${platform}, ${tier}`, open: () => openMachine<RtcClient>(file, tier, "clock") });
    serialSuite({ name: `uart-16550 on ${platform}, ${tier}`, open: () => openSerial(file, tier) });
  }
}

suites("sim", "lab.yaml");

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => suites("QEMU", "lab-qemu.yaml"));
