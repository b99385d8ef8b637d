/** The bench of class suites on whole machines over threads: an example's machine, crashes by the operator's kill. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "vitest";
import { type BroughtUp, bringUp } from "../../../runtime/cli/bring-up.ts";
import type { TierName } from "../../../runtime/sandbox/sandbox.ts";
import type { ClassBench } from "./bench.ts";

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

export interface MachineBench<Client> extends ClassBench<Client> {
  readonly machine: BroughtUp["machine"];
}

/** The machine of an example file, with a client of one of its drivers. A suite crashes drivers more often than a policy allows. */
export async function openMachine<Client>(file: string, sandbox: TierName, driver: string): Promise<MachineBench<Client>> {
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
    machine: up.machine,
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
