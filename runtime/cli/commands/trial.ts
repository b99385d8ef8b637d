/** `airlock trial`: brings a machine up, lets clients work, makes every driver fail in every way once, and prints a table. */
import { type Command, Option } from "commander";
import Table from "cli-table3";
import type { WorkloadTotals } from "../../classes/workload.ts";
import { findFaults } from "../../faults/find-faults.ts";
import type { FaultDefinition } from "../../faults/fault.ts";
import type { TierName } from "../../sandbox/sandbox.ts";
import type { CommandCall, CommandDefinition } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { applicableFaults } from "../soak/applicable.ts";
import { Session, wholeNumber } from "../soak/session.ts";
import { type Trial, injectOnce } from "../soak/soak.ts";

/** The client works this long between two faults, so that each failure meets a driver that is well. */
const pauseMs = 60;

const command: CommandDefinition = {
  name: "trial",
  summary: "make every driver of a machine fail in every way once while clients work; print what they saw",
  examples: ["airlock trial runtime/machine/examples/lab.yaml", "airlock trial runtime/machine/examples/lab-qemu.yaml --sandbox worker --json"],
  declare: (trial: Command) => {
    trial
      .argument("<machine.yaml>", "the machine file; its restart limits are lifted for the trial")
      .option("--seed <number>", "of the clients' random choices")
      .option("--state <directory>", "keep crash dumps there instead of throwing them away")
      .addOption(new Option("--sandbox <tier>", "the tier to run in, instead of the machine file's").choices(["quickjs", "worker"]));
  },
  run,
};

export default command;

interface Row extends Trial {
  readonly driver: string;
  readonly title: string;
  /** What the client noticed: errors, and bytes lost that it was told of. */
  readonly clientErrors: number;
  readonly bytesLost: number;
  readonly bytesCorrupted: number;
}

async function run({ args, options, output }: CommandCall): Promise<0 | 1> {
  const seed = wholeNumber(options.seed ?? Math.floor(Math.random() * 2 ** 31), "--seed");
  const faults = [...(await findFaults()).values()];
  const session = await Session.open({ file: args[0]!, sandbox: options.sandbox as TierName | undefined, state: options.state as string | undefined, seed });
  try {
    const { machine } = session.up;
    const names = [...machine.drivers.keys()];
    output.remark(`machine ${machine.loaded.name} on ${machine.platform.type}: ${names.join(", ")}; restart limits are lifted; seed ${seed}`);
    const work = new Work(await Promise.all(names.map((name) => session.workload(name))));
    const rows: Row[] = [];
    for (const name of names) {
      const before = { ...(await session.workload(name)).totals };
      const mine = applicableFaults(faults, machine.driver(name));
      for (const fault of mine) rows.push(await row(session, name, fault));
      output.remark(`${name}: ${operations(before, (await session.workload(name)).totals)} client operations while it failed ${mine.length} times`);
    }
    await work.stop();
    const totals = Object.fromEntries(await Promise.all(names.map(async (name) => [name, { ...(await session.workload(name)).totals }] as const)));
    const errors = (await Promise.all(names.map(async (name) => (await session.workload(name)).errors.map((error) => `${name}: ${error}`)))).flat();
    const ok = rows.every(({ rightly, recoveryMs }) => rightly && recoveryMs !== undefined)
      && Object.values(totals).every(({ clientErrors, bytesCorrupted }) => clientErrors === 0 && bytesCorrupted === 0);
    output.result({ ok, seed, rows, totals, errors }, () => text(rows, totals, errors, ok));
    return ok ? exitCodes.ok.code : exitCodes.negative.code;
  } finally {
    await session.close();
  }
}

/** The clients, all at work until told to stop. */
class Work {
  #working = true;
  readonly #done: Promise<unknown>;

  constructor(workloads: readonly { step(): Promise<void> }[]) {
    this.#done = Promise.all(workloads.map(async (workload) => { while (this.#working) await workload.step(); }));
  }

  async stop(): Promise<void> {
    this.#working = false;
    await this.#done;
  }
}

async function row(session: Session, driver: string, fault: FaultDefinition): Promise<Row> {
  const { machine } = session.up;
  const { totals } = await session.workload(driver);
  const before = { ...totals };
  const trial = await injectOnce(machine, machine.driver(driver), fault);
  await new Promise<void>((resolve) => { machine.clock.setTimer(pauseMs * 1000, resolve); });
  return {
    driver, title: fault.title, ...trial,
    clientErrors: totals.clientErrors - before.clientErrors, bytesLost: totals.bytesLost - before.bytesLost, bytesCorrupted: totals.bytesCorrupted - before.bytesCorrupted,
  };
}

function operations(before: WorkloadTotals, after: WorkloadTotals): number {
  return after.operations - before.operations;
}

function text(rows: readonly Row[], totals: Readonly<Record<string, WorkloadTotals>>, errors: readonly string[], ok: boolean): string {
  const table = new Table({ head: ["driver", "it ...", "detected as", "after", "back after", "the client saw"], chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" }, style: { head: [], border: [] }, colAligns: ["left", "left", "left", "right", "right", "left"] });
  for (const each of rows) {
    table.push([each.driver, each.title, each.rightly ? each.detectedAs : `NOT DETECTED${each.detectedAs === undefined ? "" : ` (${each.detectedAs})`}`, ms(each.detectMs), ms(each.recoveryMs), sawText(each)]);
  }
  const summary = Object.entries(totals).map(([driver, total]) => {
    const mine = rows.filter((each) => each.driver === driver);
    const back = mine.filter(({ recoveryMs }) => recoveryMs !== undefined).length;
    return `${driver}: ${mine.length} faults, ${back} recovered; ${total.operations} client operations, ${total.clientErrors} errors, ${total.bytesLost} bytes lost and told, ${total.bytesCorrupted} corrupted`;
  });
  const missed = rows.filter(({ rightly }) => !rightly).map((each) => `not detected: ${each.driver}: ${each.fault}: ${each.message ?? "no failure was seen"}`);
  return [table.toString(), ...summary, ...missed, ...errors.map((error) => `client error: ${error}`), ok ? "every failure was detected and recovered; no client call failed" : "FAILED: see above"].join("\n");
}

function sawText({ clientErrors, bytesLost, bytesCorrupted }: Row): string {
  const seen = [
    clientErrors > 0 ? `${clientErrors} ERRORS` : "", bytesCorrupted > 0 ? `${bytesCorrupted} bytes CORRUPTED` : "",
    bytesLost > 0 ? `a notice of loss, ${bytesLost} bytes` : "",
  ].filter((part) => part !== "");
  return seen.length === 0 ? "nothing" : seen.join(", ");
}

function ms(value: number | undefined): string {
  return value === undefined ? "never" : `${value.toFixed(1)} ms`;
}
