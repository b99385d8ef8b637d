/** The class suites on whole machines over threads: simulated hardware and QEMU, each tier, crashes by the operator's kill. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect } from "vitest";
import type { RtcClient } from "../../../runtime/classes/rtc/client.ts";
import type { SerialPort } from "../../../runtime/classes/serial/port.ts";
import { type BroughtUp, bringUp } from "../../../runtime/cli/bring-up.ts";
import type { TierName } from "../../../runtime/sandbox/sandbox.ts";
import { qemuAvailable } from "../qemu-available.ts";
import type { ClassBench } from "./bench.ts";
import { rtcSuite } from "./rtc.suite.ts";
import { serialSuite } from "./serial.suite.ts";

const examples = path.join(import.meta.dirname, "../../../runtime/machine/examples");

/** Generous: a machine of two cores runs other things too. */
const waitMs = 20_000;
const pollMs = 2;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let spentMs = 0; !condition(); spentMs += pollMs) {
    if (spentMs > waitMs) throw new Error(`waited ${waitMs} ms for: ${what}`);
    await sleep(pollMs);
  }
}

/** The machine of an example file, with a client of one of its drivers. A suite crashes drivers more often than a policy allows. */
async function open<Client>(file: string, sandbox: TierName, driver: string): Promise<ClassBench<Client>> {
  const state = mkdtempSync(path.join(tmpdir(), "airlock-class-"));
  let up: BroughtUp;
  try {
    up = await bringUp({
      file: path.join(examples, file), state, sandbox, restart: () => ({ policy: "permanent", intensity: Infinity, periodMs: 1_000, escalation: "hold" }),
    });
  } catch (error) {
    rmSync(state, { recursive: true, force: true });
    throw error;
  }
  const { supervisor } = up.machine.driver(driver);
  const running = (): boolean => supervisor.status.state === "running";
  await until(running, `driver ${driver} running`);
  return {
    client: up.machine.client(driver) as Client,
    advance: sleep,
    crash: async () => {
      await until(running, `driver ${driver} running before its crash`);
      const { generation } = supervisor.status;
      expect(supervisor.kill()).toBe(true);
      await until(() => running() && supervisor.status.generation > generation, `driver ${driver} back after its crash`);
    },
    close: async () => {
      await up.close();
      const { hosts } = supervisor.status;
      expect(hosts.started).toBe(hosts.ended + hosts.overdue);
      rmSync(state, { recursive: true, force: true });
    },
  };
}

/**
 * Simulated hardware runs in real time: at 115200 baud the FIFO overruns when a busy machine does not schedule the driver's
 * thread for 1.4 ms, as with real hardware, and the client is told. The suite is about the class, so the line starts slower.
 */
const calmBaud = 19_200;

async function openSerial(file: string, sandbox: TierName): Promise<ClassBench<SerialPort>> {
  const bench = await open<SerialPort>(file, sandbox, "console");
  await bench.client.configure({ baudRate: calmBaud });
  return bench;
}

function suites(platform: string, file: string): void {
  for (const tier of ["quickjs", "worker"] as const) {
    rtcSuite({ name: `rtc-mc146818 on ${platform}, ${tier}`, open: () => open<RtcClient>(file, tier, "clock") });
    serialSuite({ name: `uart-16550 on ${platform}, ${tier}`, open: () => openSerial(file, tier) });
  }
}

suites("sim", "lab.yaml");

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => suites("QEMU", "lab-qemu.yaml"));
