/** `airlock bench dde`: Linux's own network drivers in the sandbox, beside a driver in TypeScript; and what their accesses and asyncify cost. */
import path from "node:path";
import Table from "cli-table3";
import { lineProgress } from "../../../shims/tools/progress.ts";
import { makeTemporaryDirectory } from "../temporary-directory.ts";
import { wholeNumber } from "../soak/session.ts";
import type { BenchCall, BenchDefinition } from "./bench.ts";
import { type AccessCosts, buildCosts, measureCosts } from "./dde/access-costs.ts";
import { type NetworkFigures, type NetworkSubject, measureNetwork, subjectOf } from "./dde/network-figures.ts";
import { buildPackages } from "./dde/packages.ts";
import { median } from "./median.ts";

/** What is measured: Kconfig symbols of network drivers, and the device each drives. */
const linuxDrivers = [
  { config: "CONFIG_8139TOO", device: "rtl8139" },
  { config: "CONFIG_E1000", device: "e1000" },
] as const;

export interface DdeBench {
  readonly rounds: number;
  readonly ms: number;
  /** By driver and tier; medians over the rounds. */
  readonly network: Readonly<Record<string, NetworkFigures>>;
  readonly costs: AccessCosts;
}

const bench: BenchDefinition<DdeBench> = {
  name: "dde", summary: "Linux's own network drivers in the sandbox beside a driver in TypeScript, register accesses in WebAssembly, and what asyncify costs", run, text,
  options: [
    { flags: "--dde-ms <number>", description: "how long each case runs", default: "300" },
    { flags: "--dde-rounds <number>", description: "rounds, alternating; medians are reported", default: "5" },
    { flags: "--kernel-src <path>", description: "the kernel source: a folder or a .tar.xz; Debian's package linux-source-6.1 when left out" },
  ],
};

export default bench;

async function run({ options, progress }: BenchCall): Promise<DdeBench> {
  const ms = Math.max(10, wholeNumber(options["ddeMs"], "--dde-ms"));
  const rounds = Math.max(1, wholeNumber(options["ddeRounds"], "--dde-rounds"));
  const { path: directory, remove } = makeTemporaryDirectory();
  try {
    const kernelSource = options["kernelSrc"] as string | undefined;
    const packages = await buildPackages(linuxDrivers.map(({ config }) => config), { directory, kernelSource, progress: lineProgress(progress, () => performance.now()) });
    const costs = await buildCosts(directory);
    const subjects: NetworkSubject[] = [
      ...packages.map((written, index) => subjectOf(written.directory, linuxDrivers[index]!.device, "wasm")),
      subjectOf(path.join("drivers", "e1000"), "e1000", "quickjs"), subjectOf(path.join("drivers", "e1000"), "e1000", "worker"),
    ];
    const found = new Map<string, NetworkFigures[]>(subjects.map(({ title }) => [title, []]));
    const accesses: AccessCosts[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const subject of subjects) {
        progress(`round ${round} of ${rounds}: ${subject.title}`);
        found.get(subject.title)!.push(await measureNetwork(subject, ms));
      }
      progress(`round ${round} of ${rounds}: accesses`);
      accesses.push(await measureCosts(costs));
    }
    return { rounds, ms, network: Object.fromEntries([...found].map(([title, all]) => [title, medians(all)])), costs: medians(accesses) };
  } finally {
    remove();
  }
}

function medians<T extends object>(all: readonly T[]): T {
  const keys = Object.keys(all[0]!) as (keyof T)[];
  return Object.fromEntries(keys.map((key) => [key, median(all.map((one) => one[key] as number))])) as T;
}

function text({ rounds, ms, network, costs }: DdeBench): string {
  const right = "right" as const;
  const drivers = new Table({ head: ["driver", "64 bytes", "1500 bytes", "there and back", "probe to ready", "from nothing"], style: { head: [], border: [] }, colAligns: ["left", right, right, right, right, right] });
  for (const [title, { smallKilo, largeKilo, echoKilo, probeMs, coldMs }] of Object.entries(network)) drivers.push([title, smallKilo, largeKilo, echoKilo, `${probeMs} ms`, `${coldMs} ms`]);
  const accesses = new Table({ head: ["in WebAssembly", "each"], style: { head: [], border: [] }, colAligns: ["left", right] });
  accesses.push(
    ["a loop without an access", `${costs.loopNs} ns`], ["a register read through a mapped page", `${costs.pageNs} ns`],
    ["an import that does nothing", `${costs.importNs} ns`], ["the tier's import, as far as the bus", `${costs.checkedNs} ns`],
    ["a driver's posted write", `${costs.writeNs} ns`], ["a driver's read", `${costs.readNs} ns`],
    ["what asyncify adds to code without calls", `${costs.straightPercent} %`], ["and to code that calls through pointers", `${costs.indirectPercent} %`],
  );
  return `${drivers.toString()}\nthousands of frames per second, in batches of 32; medians of ${rounds} alternating rounds of ${ms} ms\n${accesses.toString()}`;
}
