/** Traffic between two network namespaces, and what their kernels say of it: pings, streams of bytes, damaged frames, carriers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Namespace } from "./net-lab.ts";

/** Longest a program may take beyond what it was told to. */
const patienceMs = 120_000;

export interface PingResult {
  readonly sent: number;
  readonly back: number;
  readonly duplicates: number;
  readonly seconds: number;
  /** Replies that hold other bytes than were sent; only known of pings that are not a flood. */
  readonly damaged: number;
}

/** A program in a namespace, to its end; both outputs together. Unlike `Namespace.run` it may last, and exit code 1 is ping's word for a loss. */
async function runIn(namespace: Namespace, program: string, args: readonly string[]): Promise<string> {
  const child = spawn("ip", ["netns", "exec", namespace.name, program, ...args], { stdio: ["ignore", "pipe", "pipe"], timeout: patienceMs, killSignal: "SIGKILL" });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk: string) => { text += chunk; });
  const [status, signal] = (await once(child, "close")) as [number | null, string | null];
  if (status !== 0 && status !== 1) throw new Error(`${program} ${args.join(" ")} ended with ${status ?? signal}:\n${text.slice(-2_000)}`);
  return text;
}

/** @throws Error when ping says something else than it should */
export async function ping(from: Namespace, to: string, ...args: readonly string[]): Promise<PingResult> {
  const told = await runIn(from, "ping", [...args, to]);
  const found = /(\d+) packets transmitted, (\d+) received(?:, \+(\d+) duplicates)?(?:, \+\d+ errors)?.* time (\d+)ms/.exec(told);
  if (found === null) throw new Error(`ping: ${told.slice(-2_000)}`);
  const [, sent, back, duplicates = "0", ms] = found;
  const damaged = told.split("\n").filter((line) => /wrong data|corrupted|BAD/.test(line)).length;
  return { sent: Number(sent), back: Number(back), duplicates: Number(duplicates), seconds: Number(ms) / 1000, damaged };
}

export interface StreamResult {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly retransmits: number;
  /** Bytes received in each second. */
  readonly perSecond: readonly number[];
}

/** How often, and how far apart, iperf3 looks for its server. */
const connectAttempts = 50;
const connectPauseMs = 200;

function errorOf(report: string): string | undefined {
  return (JSON.parse(report) as { error?: string }).error;
}

/** iperf3 from one namespace to the other; `reverse` lets the far end send. */
export async function stream(from: Namespace, to: Namespace, address: string, seconds: number, reverse = false): Promise<StreamResult> {
  const server = runIn(to, "iperf3", ["--server", "--one-off"]);
  server.catch(() => undefined); // awaited below, after what the client says
  const args = ["--client", address, "--time", String(seconds), "--json", ...(reverse ? ["--reverse"] : [])];
  let report = await runIn(from, "iperf3", args);
  // The server may not listen yet.
  for (let attempt = 0; attempt < connectAttempts && /unable to connect/.test(errorOf(report) ?? ""); attempt++) {
    await new Promise((resolve) => { setTimeout(resolve, connectPauseMs); });
    report = await runIn(from, "iperf3", args);
  }
  const error = errorOf(report);
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  await server;
  const { end, intervals } = JSON.parse(report) as {
    end: { sum_sent: { bytes: number; retransmits?: number }; sum_received: { bytes: number } };
    intervals: readonly { sum: { bytes: number } }[];
  };
  return {
    sentBytes: end.sum_sent.bytes, receivedBytes: end.sum_received.bytes, retransmits: end.sum_sent.retransmits ?? 0,
    perSecond: intervals.map(({ sum }) => sum.bytes),
  };
}

/** Packets whose checksum the namespace's kernel found wrong, of all protocols it counts them for. */
export async function checksumErrors(namespace: Namespace): Promise<number> {
  const lines = (await namespace.run("cat", "/proc/net/snmp")).trim().split("\n").map((line) => line.split(" "));
  let errors = 0;
  for (let at = 0; at < lines.length; at += 2) {
    const [names, values] = [lines[at]!, lines[at + 1]!];
    names.forEach((name, column) => { if (name === "InCsumErrors" || (name === "InHdrErrors" && names[0] === "Ip:")) errors += Number(values[column]); });
  }
  return errors;
}

/** What changes when an interface goes and comes back, or its carrier does. */
export async function identityOf(namespace: Namespace, name: string): Promise<{ readonly index: number; readonly carrierChanges: number; readonly flags: readonly string[] }> {
  const [link] = JSON.parse(await namespace.run("ip", "-json", "-details", "link", "show", name)) as { ifindex: number; flags: string[] }[];
  const changes = await namespace.run("cat", `/sys/class/net/${name}/carrier_changes`);
  return { index: link!.ifindex, carrierChanges: Number(changes), flags: link!.flags };
}
