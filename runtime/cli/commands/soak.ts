/** `airlock soak`: makes one driver fail again and again under a working client and prints what that cost. */
import { type Command, Option } from "commander";
import { AirlockError } from "../../api/errors.ts";
import { advice } from "../../machine/suggest.ts";
import { duration } from "../../machine/values.ts";
import type { FaultDefinition } from "../../faults/fault.ts";
import { findFaults } from "../../faults/find-faults.ts";
import { type TierName } from "../../sandbox/sandbox.ts";
import type { CommandCall, CommandDefinition } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { applicableFaults } from "../soak/applicable.ts";
import { Session, wholeNumber } from "../soak/session.ts";
import { type SoakResult, type Trial, percentile, soak } from "../soak/soak.ts";
import type { WorkloadTotals } from "../../classes/workload.ts";

const longestMs = 7 * 86_400_000;

const command: CommandDefinition = {
  name: "soak",
  summary: "make a driver fail again and again while a client works; print recoveries, errors and losses",
  examples: [
    "airlock soak runtime/machine/examples/lab.yaml --driver clock --how all --every 100ms --for 10s",
    "airlock soak runtime/machine/examples/lab-qemu.yaml --driver console --how hang --every 200ms --for 1m --json",
  ],
  declare: (soakCommand: Command) => {
    soakCommand
      .argument("<machine.yaml>", "the machine file; its restart limits are lifted for the soak")
      .requiredOption("--driver <name>", "the driver to make fail")
      .option("--how <fault>", "a fault by name, or all; `airlock kill --how list` shows them", "all")
      .option("--every <duration>", "pause between a recovery and the next fault", "100ms")
      .option("--for <duration>", "how long; every fault comes at least once", "10s")
      .option("--seed <number>", "of the workload's random choices; printed, so that a run can be repeated")
      .option("--state <directory>", "keep crash dumps there instead of throwing them away")
      .addOption(new Option("--sandbox <tier>", "the tier to run in, instead of the machine file's").choices(["quickjs", "worker"]));
  },
  run,
};

export default command;

async function run({ args, options, output }: CommandCall): Promise<0 | 1> {
  const seed = wholeNumber(options.seed ?? Math.floor(Math.random() * 2 ** 31), "--seed");
  const chosen = await chosenFaults(String(options.how));
  const everyMs = milliseconds(String(options.every), "--every", 0);
  const forMs = milliseconds(String(options.for), "--for", 1);
  const driver = String(options.driver);
  const session = await Session.open({ file: args[0]!, sandbox: options.sandbox as TierName | undefined, state: options.state as string | undefined, seed });
  try {
    const { machine } = session.up;
    const { name } = machine.driver(driver);
    const faults = applicableFaults(chosen, machine.driver(driver));
    if (faults.length === 0) throw new AirlockError("InvalidArgument", `--how: driver "${name}" cannot have the fault ${chosen[0]!.name}, which needs an interrupt, a wire, a queue, an option or a tier that it has not; choose another`, { driver: name });
    output.remark(`soaking ${name} of ${machine.loaded.name} with ${faults.length === 1 ? faults[0]!.name : `${faults.length} faults`}; its restart limits are lifted; seed ${seed}`);
    const workload = await session.workload(name);
    let told = 0;
    const result = await soak(machine, workload, {
      driver: name, faults, everyMs, forMs,
      progress: (done, failures) => {
        if (Math.floor(done * 10) <= told) return;
        told = Math.floor(done * 10);
        output.remark(`${told * 10} %: ${failures} faults`);
      },
    });
    const summary = summarize(result, workload.totals);
    const report = { ...summary, byFault: byFault(result.trials), errors: workload.errors, seed };
    output.result(report, () => soakText(report));
    return passed(result, workload.totals) ? exitCodes.ok.code : exitCodes.negative.code;
  } finally {
    await session.close();
  }
}

export interface SoakSummary {
  readonly operations: number;
  readonly failures: number;
  readonly recovered: number;
  readonly clientErrors: number;
  readonly bytesLost: number;
  readonly bytesCorrupted: number;
  readonly detectMs: { readonly p50: number | undefined; readonly p99: number | undefined };
  readonly recoveryMs: { readonly p50: number | undefined; readonly p99: number | undefined };
}

function summarize({ trials, failures, recovered }: SoakResult, { operations, clientErrors, bytesLost, bytesCorrupted }: WorkloadTotals): SoakSummary {
  const detect = trials.flatMap(({ detectMs }) => detectMs ?? []);
  const recovery = trials.flatMap(({ recoveryMs }) => recoveryMs ?? []);
  return {
    operations, failures, recovered, clientErrors, bytesLost, bytesCorrupted,
    detectMs: { p50: percentile(detect, 0.5), p99: percentile(detect, 0.99) },
    recoveryMs: { p50: percentile(recovery, 0.5), p99: percentile(recovery, 0.99) },
  };
}

/** Everything recovered, every fault rightly detected, and the client never noticed more than it was told. */
function passed({ trials, failures, recovered }: SoakResult, { clientErrors, bytesCorrupted }: WorkloadTotals): boolean {
  return failures === recovered && clientErrors === 0 && bytesCorrupted === 0 && trials.every(({ rightly }) => rightly);
}

interface FaultSummary {
  readonly count: number;
  readonly detectedAs: readonly string[];
  /** What was seen instead of a right detection. */
  readonly undetected: readonly string[];
  readonly detectMs: { readonly p50: number | undefined; readonly p99: number | undefined };
  readonly recoveryMs: { readonly p50: number | undefined; readonly p99: number | undefined };
}

function byFault(trials: readonly Trial[]): Record<string, FaultSummary> {
  const names = [...new Set(trials.map(({ fault }) => fault))];
  return Object.fromEntries(names.map((name) => {
    const mine = trials.filter(({ fault }) => fault === name);
    const detect = mine.flatMap(({ detectMs }) => detectMs ?? []);
    const recovery = mine.flatMap(({ recoveryMs }) => recoveryMs ?? []);
    return [name, {
      count: mine.length, detectedAs: [...new Set(mine.flatMap(({ detectedAs }) => detectedAs ?? []))], undetected: mine.filter(({ rightly }) => !rightly).map(({ detectedAs, message }) => `${detectedAs ?? "nothing"}: ${message ?? "no failure was seen"}`),
      detectMs: { p50: percentile(detect, 0.5), p99: percentile(detect, 0.99) },
      recoveryMs: { p50: percentile(recovery, 0.5), p99: percentile(recovery, 0.99) },
    }];
  }));
}

function soakText(report: SoakSummary & { readonly byFault: Record<string, FaultSummary>; readonly errors: readonly string[]; readonly seed: number }): string {
  const lines = Object.entries(report.byFault).map(([name, fault]) =>
    `  ${name.padEnd(15)} ${String(fault.count).padStart(4)} x  ${fault.detectedAs.join(", ").padEnd(24)} detect p50 ${fault.detectMs.p50} ms  recovery p50 ${fault.recoveryMs.p50} ms${fault.undetected.map((seen) => `\n    NOT DETECTED, ${seen}`).join("")}`);
  return [
    `${report.operations} operations, ${report.failures} failures, ${report.recovered} recovered, ${report.clientErrors} client errors`,
    `${report.bytesLost} bytes lost (each told to the client), ${report.bytesCorrupted} corrupted`,
    `detection p50 ${report.detectMs.p50} ms, p99 ${report.detectMs.p99} ms; recovery p50 ${report.recoveryMs.p50} ms, p99 ${report.recoveryMs.p99} ms`,
    ...lines, ...report.errors.map((error) => `  client error: ${error}`),
    `repeat with --seed ${report.seed}`,
  ].join("\n");
}

async function chosenFaults(how: string): Promise<readonly FaultDefinition[]> {
  const faults = await findFaults();
  if (how === "all") return [...faults.values()];
  const fault = faults.get(how);
  if (fault === undefined) throw new AirlockError("InvalidArgument", `--how: there is no fault "${how}"; ${advice(how, [...faults.keys(), "all"], "fault")}`, { fault: how });
  return [fault];
}

function milliseconds(text: string, option: string, least: number): number {
  const parsed = duration(least, longestMs).safeParse(text);
  if (!parsed.success) throw new AirlockError("InvalidArgument", `${option}: "${text}" ${parsed.error.issues[0]?.message ?? "is not a duration"}`, { option });
  return parsed.data;
}
