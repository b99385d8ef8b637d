/** The TAP export on a cable in memory, by programs that use the network: two interfaces of Linux, each in a network namespace. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type TestContext, afterEach, describe, expect, test, vi } from "vitest";
import { AirlockError } from "../../runtime/api/errors.ts";
import tap from "../../runtime/exports/tap/export.ts";
import { type StartedExport, startExport } from "../fixtures/export-context.ts";
import { type CableEnd, makeCable } from "../fixtures/net-cable.ts";
import { programMissing, receiveMs, requireClient } from "./client.ts";
import { Namespace, pingAll, run, tapMissing, uniqueName } from "./net-lab.ts";

/** Undone after each test, last first. */
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()!();
});

async function startTap(end: CableEnd, options: Record<string, unknown> = {}): Promise<StartedExport> {
  const started = await startExport(tap, { options: { interface: uniqueName(), ...options }, open: end.open });
  cleanups.push(async () => started[Symbol.asyncDispose]());
  return started;
}

/** Moves an export's interface into a namespace of its own, with that address. */
async function settleIn({ running }: StartedExport, address: string): Promise<Namespace> {
  const namespace = await Namespace.make();
  cleanups.push(async () => namespace[Symbol.asyncDispose]());
  await namespace.take(running.address, address);
  return namespace;
}

function isThere(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`);
}

describe("two interfaces with a cable between them", () => {
  async function pair(): Promise<{ readonly near: Namespace; readonly far: Namespace }> {
    const [first, second] = makeCable();
    const one = await startTap(first);
    const other = await startTap(second);
    return { near: await settleIn(one, "192.0.2.1/24"), far: await settleIn(other, "192.0.2.2/24") };
  }

  test("ping: every one comes back, of any size", async (context) => {
    requireClient(context, await tapMissing(), programMissing("ping", "iputils-ping"));
    const { near } = await pair();
    for (const size of ["16", "1472", "9000"]) {
      expect(await pingAll(near, "192.0.2.2", 5, "-i", "0.05", "-s", size)).toBe(true);
    }
  });

  test("ping -f: a flood comes back", async (context) => {
    requireClient(context, await tapMissing(), programMissing("ping", "iputils-ping"));
    const { near } = await pair();
    expect(await pingAll(near, "192.0.2.2", 2_000, "-f", "-q")).toBe(true);
  });

  test("iperf3: a stream of bytes, whose backpressure is the interface's", async (context) => {
    requireClient(context, await tapMissing(), programMissing("iperf3", "iperf3"));
    const { near, far } = await pair();
    const server = far.run("iperf3", "--server", "--one-off");
    let report = "";
    await vi.waitFor(async () => {
      report = await near.run("iperf3", "--client", "192.0.2.2", "--bytes", "16M", "--json");
    }, { timeout: receiveMs, interval: 100 });
    await server;
    const { end } = JSON.parse(report) as { end: { sum_sent: { bytes: number }; sum_received: { bytes: number } } };
    expect(end.sum_sent.bytes).toBeGreaterThanOrEqual(16 << 20);
    // What is under way when the client has sent everything is not counted.
    expect(end.sum_received.bytes).toBeGreaterThan(8 << 20);
  });
});

async function requireTap(context: TestContext): Promise<void> {
  requireClient(context, await tapMissing());
}

describe("the interface", () => {
  test("has the card's address and the MTU, and is gone at the end", async (context) => {
    await requireTap(context);
    const [end] = makeCable();
    const started = await startTap(end, { mtu: 1_400 });
    const name = started.running.address;
    const [link] = JSON.parse(await run("ip", "-json", "link", "show", name)) as { address: string; mtu: number; flags: string[] }[];
    expect(link).toMatchObject({ address: end.mac, mtu: 1_400, flags: expect.arrayContaining(["UP"]) });
    expect(end.configured).toEqual([{ up: true, mtu: 1_400, promiscuous: false, allMulticast: true }]);
    expect(started.log.join("\n")).toContain(`ip address add 192.0.2.1/24 dev ${name}`);
    await started.running.close();
    await started.running.close();
    expect(await started.running.ended).toBeUndefined();
    expect(end.isOpen).toBe(false);
    await vi.waitFor(() => expect(isThere(name)).toBe(false), { timeout: receiveMs });
  });

  test("and the card have another address if told so", async (context) => {
    await requireTap(context);
    const [end] = makeCable();
    const started = await startTap(end, { mac: "02:00:00:00:00:09", promiscuous: true });
    expect((await readFile(`/sys/class/net/${started.running.address}/address`, "utf8")).trim()).toBe("02:00:00:00:00:09");
    expect(end.configured).toEqual([{ up: true, mtu: 1_500, promiscuous: true, allMulticast: true, mac: "02:00:00:00:00:09" }]);
  });

  test("shows programs whether there is a link", async (context) => {
    await requireTap(context);
    const [end] = makeCable();
    const started = await startTap(end);
    const carrier = async (): Promise<string> => (await readFile(`/sys/class/net/${started.running.address}/carrier`, "utf8")).trim();
    for (const isUp of [false, true, false]) {
      end.setLink(isUp);
      await vi.waitFor(async () => expect([await carrier(), started.log]).toEqual([isUp ? "1" : "0", started.log]), { timeout: receiveMs });
    }
  });

  test("stays while its driver is held, and works on afterwards", async (context) => {
    await requireTap(context);
    requireClient(context, programMissing("ping", "iputils-ping"));
    const [first, second] = makeCable();
    const one = await startTap(first);
    const other = await startTap(second);
    const near = await settleIn(one, "192.0.2.1/24");
    await settleIn(other, "192.0.2.2/24");
    const held = new AirlockError("DriverUnavailable", "the driver is held");
    first.refusal = held;
    first.end(held);
    await vi.waitFor(() => expect(one.log.join("\n")).toContain("the interface is away"), { timeout: receiveMs });
    first.refusal = undefined;
    await vi.waitFor(() => expect(first.opened).toBe(2), { timeout: receiveMs });
    expect(await pingAll(near, "192.0.2.2", 3, "-i", "0.05")).toBe(true);
  });

  test("that is deleted ends the export; so does the machine's end", async (context) => {
    await requireTap(context);
    const [first, second] = makeCable();
    const one = await startTap(first);
    await run("ip", "link", "delete", one.running.address);
    expect(await one.running.ended).toMatchObject({ code: "Closed", message: expect.stringContaining("was it deleted?") });
    const other = await startTap(second);
    second.end(new AirlockError("Closed", "the machine is shutting down"));
    expect((await other.running.ended)?.code).toBe("Closed");
  });

  test("takes no name that is taken or too long, and leaves nothing behind", async (context) => {
    await requireTap(context);
    const [first, second] = makeCable();
    const one = await startTap(first);
    for (const [name, reason] of [[one.running.address, "in use by another process"], ["lo", "no TAP interface"]] as const) {
      await expect(startTap(second, { interface: name })).rejects.toMatchObject({ code: "AddressInUse", message: expect.stringContaining(reason) });
    }
    expect(second.isOpen).toBe(false);
    expect(() => tap.options.parse({ interface: "much-too-long-a-name" })).toThrow(/1 to 15/);
    expect(() => tap.options.parse({ mac: "01:00:5e:00:00:01" })).toThrow(/station/);
  });
});
