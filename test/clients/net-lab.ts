/** For tests of net exports: network interfaces and namespaces of Linux, made for one test and gone after it. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { errorText } from "../../runtime/api/errors.ts";
import { addonMissing, programMissing, receiveMs } from "./client.ts";

const execute = promisify(execFile);

/** Interfaces and namespaces belong to the whole system: a name nobody else has. */
let made = 0;
export const uniqueName = (): string => `alt${process.pid % 1_000_000}x${made++}`;

/** Runs a program to its end; its output. @throws Error when it fails or takes too long */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(program, args, { timeout: receiveMs });
  return stdout;
}

/** Why there can be no TAP interface or namespace here; undefined when there can. */
export async function tapMissing(): Promise<string | undefined> {
  const missing = addonMissing() ?? programMissing("ip", "iproute2");
  if (missing !== undefined) return missing;
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  const name = uniqueName();
  try {
    await run("ip", "netns", "add", name);
    await run("ip", "netns", "delete", name);
    return undefined;
  } catch (error) {
    return `no network namespace can be made: ${errorText(error).split("\n")[0]!}`;
  }
}

/** A network namespace that lasts until it is disposed of. */
export class Namespace implements AsyncDisposable {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  static async make(): Promise<Namespace> {
    const name = uniqueName();
    await run("ip", "netns", "add", name);
    return new Namespace(name);
  }

  /** Moves an interface here and gives it an address, as in "192.0.2.1/24". */
  async take(tap: string, address: string): Promise<void> {
    await run("ip", "link", "set", tap, "netns", this.name);
    await run("ip", "-n", this.name, "address", "add", address, "dev", tap);
    await run("ip", "-n", this.name, "link", "set", tap, "up");
  }

  /** Runs a program here. */
  run(program: string, ...args: readonly string[]): Promise<string> {
    return run("ip", "netns", "exec", this.name, program, ...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("ip", "netns", "delete", this.name);
  }
}

/** Longest a ping may take to get all its answers. */
const pingSeconds = 12;
/** Requests that may be under way when the last answer comes: ping sends on until it has them all. */
const mostUnderWay = 3;

/**
 * Whether so many pings are answered and none is lost. Without its deadline (-w) ping waits for the last answers only twice as long as
 * the others took, which on a busy machine is too short.
 */
export async function pingAll(namespace: Namespace, address: string, count: number, ...options: readonly string[]): Promise<boolean> {
  const { sent, back, intact } = readPing(await namespace.run("ping", "-c", String(count), "-w", String(pingSeconds), ...options, address));
  return intact && back === count && sent - back <= Math.max(mostUnderWay, count / 100);
}

/** How many of how many came back, and whether all of them were what was sent. */
export function readPing(told: string): { readonly sent: number; readonly back: number; readonly intact: boolean } {
  const [, sent, back] = /(\d+) packets transmitted, (\d+) received/.exec(told)!;
  return { sent: Number(sent), back: Number(back), intact: !/wrong data byte/.test(told) };
}
