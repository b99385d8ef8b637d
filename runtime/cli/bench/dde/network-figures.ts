/** One network driver on a simulated card: how fast it comes up, sends, and receives. */
import path from "node:path";
import { AirlockError } from "../../../api/errors.ts";
import { loadManifest } from "../../../machine/manifest.ts";
import type { TierName } from "../../../sandbox/sandbox.ts";
import type { BroughtUp } from "../../bring-up.ts";
import { type BenchInterface, frameRate, openInterface, strayFrame, transmitRate } from "../net-rate.ts";
import { projectFolder, withMachine } from "../temporary-machine.ts";

const batch = 32;
/** Fewer than any card's receive ring holds, so that no answer is lost. */
const echoWindow = 64;
/** Both cards have these two. */
const bars = ["bar0", "bar1"];
const hostAddress = [10, 77, 0, 2] as const;

export interface NetworkSubject {
  readonly title: string;
  /** Absolute, or from the project's folder. */
  readonly package: string;
  readonly device: string;
  readonly tier: TierName;
  readonly grants: readonly string[];
}

/** Before anything is counted: V8 compiles what is new to it. */
const warmUpMs = 1_000;
/** Longest wait for a spare thread, and time between two looks. */
const warmMs = 5_000;
const pollMs = 10;

export interface NetworkFigures {
  /** Thousands of frames per second sent, of 64 and of 1500 bytes. */
  readonly smallKilo: number;
  readonly largeKilo: number;
  /** Thousands of questions per second that the far end answered, one frame there and one back. */
  readonly echoKilo: number;
  /** From the start of the driver, in a thread that is prepared, until it is in service: its probe. */
  readonly probeMs: number;
  /** The same with no thread prepared, whose making is part of it. */
  readonly coldMs: number;
}

/** What a package is measured with: everything it needs of the device, and of what is optional what the card has. */
export function subjectOf(folder: string, device: string, tier: TierName): NetworkSubject {
  const { manifest } = loadManifest(path.resolve(projectFolder(), folder));
  const windows = Object.entries(manifest.needs.windows).filter(([name, { optional }]) => !optional || bars.includes(name)).map(([name]) => name);
  return { title: `${manifest.name}, ${tier}`, package: folder, device, tier, grants: [...windows, "intx", ...Object.keys(manifest.needs.dma)] };
}

export async function measureNetwork(subject: NetworkSubject, ms: number): Promise<NetworkFigures> {
  const probeMs = await withMachine((root) => machineText(root, subject, 1), async (up) => {
    await untilWarm(up);
    return await timeToReady(up);
  });
  return await withMachine((root) => machineText(root, subject, 0), async (up) => {
    const coldMs = await timeToReady(up);
    const opened = await openInterface(up);
    const { port } = opened;
    // A client that sleeps until there is room for half a queue, as exports do: one that spins takes a processor from the two threads it waits for.
    const whole = { window: Infinity, wait: opened.news };
    await transmitRate(port, warmUpMs, strayFrame(64), batch, whole);
    const smallKilo = (await transmitRate(port, ms, strayFrame(64), batch, whole)) / 1000;
    const largeKilo = (await transmitRate(port, ms, strayFrame(1500), batch, whole)) / 1000;
    const echoKilo = (await echoRate(opened, ms)) / 1000;
    port.close();
    return { smallKilo, largeKilo, echoKilo, probeMs, coldMs };
  });
}

/** Until a spare thread has loaded the driver; without one after a while the figure is that of a thread to be made. */
async function untilWarm({ machine }: BroughtUp): Promise<void> {
  for (let waitedMs = 0; !machine.settled && waitedMs < warmMs; waitedMs += pollMs) await new Promise((resolve) => { setTimeout(resolve, pollMs); });
}

/** Holds the driver, lets it go, and takes the time between two published states. */
async function timeToReady({ machine }: BroughtUp): Promise<number> {
  const { supervisor } = [...machine.drivers.values()][0]!;
  await supervisor.hold();
  const start = performance.now();
  const ready = new Promise<number>((resolve, reject) => {
    const ignore = supervisor.onChange(({ state, reason }) => {
      if (state !== "running" && state !== "held") return;
      ignore();
      if (state === "running") resolve(performance.now() - start);
      else reject(new AirlockError("DriverUnavailable", `the driver does not come up: ${reason}`));
    });
  });
  supervisor.release();
  return await ready;
}

/** Asks the far end for its address again and again (ARP, RFC 826): it answers each question with one frame. */
async function echoRate({ port, news }: BenchInterface, ms: number): Promise<number> {
  const { mac } = await port.identity();
  const own = mac.split(":").map((byte) => Number.parseInt(byte, 16));
  const question = new Uint8Array(60);
  question.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...own, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...own, 10, 77, 0, 1, 0, 0, 0, 0, 0, 0, ...hostAddress]);
  const questions = Array.from({ length: batch }, () => question);
  let given = port.counters.received;
  return await frameRate(ms, {
    batch, window: echoWindow, wait: news, given: () => given, done: () => port.counters.received,
    send: () => {
      const taken = port.send(questions);
      given += taken;
      return taken > 0;
    },
  });
}

function machineText(root: string, { package: folder, device, tier, grants }: NetworkSubject, spares: number): string {
  return `
machine: bench-dde
platform: { type: sim }
devices:
  eth0: { compatible: [${device}], pci: { address: "00:05.0" }, options: { peer: host, address: ${hostAddress.join(".")} } }
drivers:
  nic:
    package: ${JSON.stringify(path.isAbsolute(folder) ? folder : `${root}/${folder}`)}
    device: eth0
    sandbox: ${tier}
    grants: [${grants.join(", ")}]
    spares: ${spares}
    limits: { irqPerSecond: 1000000 }${tier === "wasm" ? "\n    options: { delays: 0 } # models need no time" : ""}
`;
}
