/** The watchdog shadow and client: settings and time over restarts, expiries told once, what drivers may not say. */
import { describe, expect, test } from "vitest";
import { TestEnvironment, type TestPort, attachAnswering, settle } from "../../../test/fixtures/driver-port.ts";
import { AirlockError } from "../../api/errors.ts";
import { openClient } from "./client.ts";
import { type WatchdogIdentity, createShadow } from "./shadow.ts";

const identity: WatchdogIdentity = {
  minTimeoutMs: 2, maxTimeoutMs: 60_000, canStop: true, hasPretimeout: false, tellsTimeLeft: false, hasExpired: false, isRunning: false,
};

type Request = TestPort["open"][number];

/** The reply an honest driver gives. */
function honest({ name, args }: Request, known: WatchdogIdentity): Readonly<Record<string, unknown>> {
  switch (name) {
    case "identify": return known;
    case "configure": return { timeoutMs: args["timeoutMs"], isRunning: args["running"] };
    case "timeLeft": return { leftMs: 7 };
    default: return {};
  }
}

/** A machine whose driver has been identified, and ways to let drivers come and go. */
async function setup(given: Partial<WatchdogIdentity> = {}) {
  const known = { ...identity, ...given };
  const environment = new TestEnvironment();
  const shadow = createShadow(environment);
  const client = openClient(shadow);
  const told: string[] = [];
  client.on(({ kind }) => told.push(kind));
  /** Answers what the driver has until nothing new comes. */
  const answerAll = async (port: TestPort, one: Partial<WatchdogIdentity> = {}): Promise<void> => {
    for (await settle(); port.open[0] !== undefined; await settle()) {
      const reason = shadow.receive(port.answer(honest(port.open[0], { ...known, ...one })));
      if (reason !== undefined) throw new Error(reason);
    }
  };
  const attach = async (one: Partial<WatchdogIdentity> = {}): Promise<TestPort> => {
    const port = await attachAnswering(shadow, (request) => honest(request, { ...known, ...one }));
    await answerAll(port, one);
    return port;
  };
  const pass = (ms: number): void => environment.clock.advance(ms * 1_000);
  const port = await attach();
  return { environment, shadow, client, told, attach, answerAll, pass, port };
}

/** One that was started for so long. */
async function started(timeoutMs = 10_000, given: Partial<WatchdogIdentity> = {}) {
  const all = await setup(given);
  const start = all.client.start({ timeoutMs });
  await all.answerAll(all.port);
  expect(await start).toBe(timeoutMs);
  return all;
}

const sent = (port: TestPort, name: string): Readonly<Record<string, unknown>>[] => port.all.filter((one) => one.name === name).map(({ args }) => args);

describe("settings", () => {
  test("what the device can is known, and asked for once for all clients", async () => {
    const { client, shadow, port } = await setup({ hasExpired: true });
    expect(await client.identify()).toEqual({ minTimeoutMs: 2, maxTimeoutMs: 60_000, canStop: true, hasPretimeout: false, causedReset: true });
    expect(await openClient(shadow).identify()).toMatchObject({ causedReset: true });
    expect(sent(port, "identify")).toHaveLength(1);
  });

  test.each([
    ["longer than the device can", { timeoutMs: 60_001 }], ["longer than the class allows", { timeoutMs: 3_600_001 }], ["0", { timeoutMs: 0 }], ["no number", { timeoutMs: NaN }],
    ["a pretimeout it has not", { timeoutMs: 5_000, pretimeoutMs: 1 }],
  ])("a timeout is refused that is %s", async (_what, settings) => {
    const { client, port } = await setup();
    await expect(client.start(settings)).rejects.toMatchObject({ code: "InvalidArgument" });
    expect(sent(port, "configure")).toEqual([]);
  });

  test("a pretimeout comes before the timeout, and is told once a countdown", async () => {
    const { client, shadow, port, answerAll, told } = await setup({ hasPretimeout: true });
    await expect(client.start({ timeoutMs: 5_000, pretimeoutMs: 5_000 })).rejects.toMatchObject({ code: "InvalidArgument" });
    const start = client.start({ timeoutMs: 5_000, pretimeoutMs: 1_000 });
    await answerAll(port);
    await start;
    for (let count = 0; count < 3; count++) expect(shadow.receive(port.event("pretimeout"))).toBeUndefined();
    const ping = client.ping();
    await answerAll(port);
    await ping;
    shadow.receive(port.event("pretimeout"));
    expect(told).toEqual(["pretimeout", "pretimeout"]);
  });

  test("without a way out it is not stopped, nor by being started anew, until it has run out", async () => {
    const { client, shadow, port, answerAll } = await setup();
    for (const noWayOut of [true, false]) {
      const start = client.start({ timeoutMs: 5_000, noWayOut });
      await answerAll(port);
      await start;
      await expect(client.stop()).rejects.toMatchObject({ code: "InvalidArgument" });
    }
    shadow.resetRequested!();
    const stop = client.stop();
    await answerAll(port);
    await stop;
  });

  test("a device that cannot be stopped is not", async () => {
    const { client } = await setup({ canStop: false, isRunning: true });
    await expect(client.stop()).rejects.toMatchObject({ code: "InvalidArgument" });
  });

  test("what goes on after it was stopped is told", async () => {
    const { client, shadow, port } = await started();
    const stop = client.stop();
    await settle();
    shadow.receive(port.answer({ timeoutMs: 1, isRunning: true }));
    await expect(stop).rejects.toMatchObject({ code: "Unsupported" });
  });
});

describe("a restart", () => {
  test("starts the device with what is left of the client's time, and the next ping says all of it", async () => {
    const { client, shadow, attach, answerAll, pass } = await started();
    pass(4_000);
    shadow.detach();
    // A fraction of a millisecond is rounded up: it is never early.
    pass(1_000.5);
    const next = await attach();
    expect(next.all[0]).toMatchObject({ name: "configure", args: { running: true, timeoutMs: 5_000 } });
    const ping = client.ping();
    await answerAll(next);
    await ping;
    expect(sent(next, "ping")).toEqual([{ timeoutMs: 10_000 }]);
    shadow.detach();
    expect((await attach()).all[0]).toMatchObject({ args: { timeoutMs: 10_000 } });
  });

  test("never gives more than is left, however often it comes", async () => {
    const { shadow, attach, pass } = await started();
    for (const leftMs of [7_000, 4_000, 1_000, 1, 1]) {
      pass(3_000);
      shadow.detach();
      expect((await attach()).all[0]).toMatchObject({ args: { running: true, timeoutMs: leftMs } });
    }
  });

  test("a ping that waits for it is answered by the next driver, with the full time", async () => {
    const { client, shadow, attach, answerAll, pass } = await started();
    pass(9_000);
    const ping = client.ping();
    shadow.detach();
    const next = await attach();
    expect(next.all[0]).toMatchObject({ name: "configure", args: { running: true, timeoutMs: 10_000 } });
    await answerAll(next);
    await ping;
    expect(await client.timeLeft()).toBe(10_000);
  });

  test("leaves a stopped one stopped, and asks nothing of one that nobody configured", async () => {
    const { client, shadow, attach, answerAll, port } = await setup({ isRunning: true });
    shadow.detach();
    const second = await attach();
    expect(sent(second, "configure")).toEqual([]);
    const calls = [client.start({ timeoutMs: 5_000 }), client.stop()];
    await answerAll(second);
    await Promise.all(calls);
    shadow.detach();
    expect((await attach()).all[0]).toMatchObject({ name: "configure", args: { running: false } });
    expect(port.names).toEqual(["identify"]);
  });

  test("a configuration that waits for it comes after what was before, and counts", async () => {
    const { client, shadow, attach } = await started();
    shadow.detach();
    const start = client.start({ timeoutMs: 20_000 });
    const next = await attach();
    await start;
    expect(sent(next, "configure").map(({ timeoutMs }) => timeoutMs)).toEqual([10_000, 20_000]);
    expect(await client.timeLeft()).toBe(20_000);
  });

  test("a pretimeout that does not fit into what is left is left out", async () => {
    const all = await setup({ hasPretimeout: true });
    const start = all.client.start({ timeoutMs: 5_000, pretimeoutMs: 1_000 });
    await all.answerAll(all.port);
    await start;
    all.pass(4_500);
    all.shadow.detach();
    expect((await all.attach()).all[0]).toMatchObject({ args: { timeoutMs: 500, pretimeoutMs: 0 } });
  });
});

describe("the time left", () => {
  test("is the device's where it tells, and the shadow's while the driver is away", async () => {
    const { client, shadow, port, answerAll, pass } = await started(10_000, { tellsTimeLeft: true });
    const left = client.timeLeft();
    await answerAll(port);
    expect(await left).toBe(7);
    shadow.detach();
    pass(2_500);
    expect(await client.timeLeft()).toBe(7_500);
    pass(20_000);
    expect(await client.timeLeft()).toBe(0);
  });

  test("is refused to whoever has closed or aborted", async () => {
    const { client } = await started();
    await expect(client.timeLeft({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    client.close();
    await expect(client.timeLeft()).rejects.toMatchObject({ code: "Closed" });
  });
});

describe("running out", () => {
  test("is told once, whoever tells of it and in whatever order", async () => {
    for (const order of [["platform", "event"], ["event", "platform"], ["platform", "flag"]] as const) {
      const { shadow, port, attach, told } = await started();
      for (const witness of order) {
        if (witness === "platform") shadow.resetRequested!();
        else if (witness === "event") shadow.receive(port.event("expired"));
        else {
          shadow.detach();
          await attach({ hasExpired: true });
        }
      }
      expect([order, told]).toEqual([order, ["expired"]]);
    }
  });

  test("while the driver is away is found by the next one", async () => {
    const { shadow, attach, told, pass } = await started();
    shadow.detach();
    pass(11_000);
    await attach({ hasExpired: true });
    expect(told).toEqual(["expired"]);
    shadow.detach();
    expect((await attach()).all[0]).toMatchObject({ name: "configure", args: { running: false } });
  });

  test("is told again when it happens again, by each of them or by one", async () => {
    for (const both of [true, false]) {
      const { client, shadow, port, answerAll, told, pass } = await started();
      for (let round = 0; round < 3; round++) {
        pass(10_000);
        shadow.resetRequested!();
        if (both) shadow.receive(port.event("expired"));
        const start = client.start({ timeoutMs: 10_000 });
        await answerAll(port);
        await start;
      }
      expect(told).toEqual(["expired", "expired", "expired"]);
    }
  });

  test("a flag that a driver finds after the watchdog was started again is the expiry that was told", async () => {
    const { client, shadow, attach, told } = await started();
    shadow.resetRequested!();
    shadow.detach();
    const start = client.start({ timeoutMs: 10_000 });
    const next = await attach({ hasExpired: true });
    await start;
    expect(told).toEqual(["expired"]);
    expect(await client.timeLeft()).toBe(10_000);
    shadow.receive(next.event("expired"));
    expect(told).toEqual(["expired", "expired"]);
  });

  test("leaves pings nothing to do, also those that wait", async () => {
    const { client, shadow, attach, answerAll } = await started();
    shadow.detach();
    const ping = client.ping();
    ping.catch(() => undefined);
    shadow.resetRequested!();
    await answerAll(await attach());
    await expect(ping).rejects.toMatchObject({ code: "InvalidArgument" });
    await expect(client.ping()).rejects.toMatchObject({ code: "InvalidArgument" });
    expect(await client.timeLeft()).toBe(0);
  });

  test("long before its time is put down to the driver in the log", async () => {
    const { shadow, environment, pass } = await started();
    pass(2_000);
    shadow.resetRequested!();
    expect(environment.notes[0]).toBe("the watchdog ran out 8000 ms early: its driver has not done what it said");
  });

  test("is missed when it does not come: told once a countdown, and a late ping is taken", async () => {
    const { client, port, answerAll, told, pass, shadow } = await started();
    pass(14_999);
    expect(told).toEqual([]);
    pass(20_000);
    expect(told).toEqual(["overdue"]);
    const ping = client.ping();
    await answerAll(port);
    await ping;
    pass(15_000);
    expect(told).toEqual(["overdue", "overdue"]);
    shadow.resetRequested!();
    pass(20_000);
    expect(told).toEqual(["overdue", "overdue", "expired"]);
  });

  test("is missed in time also after a shorter start", async () => {
    const { client, port, answerAll, told, pass } = await started(60_000);
    const start = client.start({ timeoutMs: 1_000 });
    await answerAll(port);
    await start;
    pass(6_000);
    expect(told).toEqual(["overdue"]);
  });

  test("of a watchdog that is pinged is not missed, nor of one that was stopped", async () => {
    const { client, port, answerAll, told, pass, environment, shadow } = await started();
    for (let round = 0; round < 10; round++) {
      pass(9_000);
      const ping = client.ping();
      await answerAll(port);
      await ping;
      expect(environment.clock.pending).toBe(1);
    }
    const stop = client.stop();
    await answerAll(port);
    await stop;
    pass(60_000);
    expect(told).toEqual([]);
    shadow.close();
    expect(environment.clock.pending).toBe(0);
  });

  test("of a watchdog that nobody started is nobody's", async () => {
    const { shadow, port, told } = await setup({ isRunning: true });
    shadow.resetRequested!();
    expect(shadow.receive(port.event("expired"))).toBeUndefined();
    expect(told).toEqual([]);
  });
});

describe("wrong data", () => {
  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ["that it did not start", { timeoutMs: 10_000, isRunning: false }, /does not run/],
    ["less time than was asked for", { timeoutMs: 9_999, isRunning: true }, /less than/],
    ["more time than there is", { timeoutMs: 60_001, isRunning: true }, /more than/],
  ])("a start is answered with %s", async (_what, reply, reason) => {
    const { client, shadow, port } = await setup();
    void client.start({ timeoutMs: 10_000 }).catch(() => undefined);
    await settle();
    expect(shadow.receive(port.answer(reply))).toMatch(reason);
  });

  test("limits that hold nothing, a time left beyond them, and a pretimeout that nobody asked for", async () => {
    const fresh = createShadow(new TestEnvironment());
    const first = await attachAnswering(fresh, () => identity);
    expect(fresh.receive(first.answer({ ...identity, minTimeoutMs: 60_001 }))).toMatch(/at least 60001 ms and at most 60000 ms/);
    const { client, shadow, port } = await started(10_000, { tellsTimeLeft: true, hasPretimeout: true });
    expect(shadow.receive(port.event("pretimeout"))).toMatch(/none was asked for/);
    void client.timeLeft().catch(() => undefined);
    await settle();
    expect(shadow.receive(port.answer({ leftMs: 60_001 }))).toMatch(/more than the device can count/);
  });

  test("a driver that answers nothing is found out", async () => {
    const { client, environment, pass } = await started();
    void client.ping().catch(() => undefined);
    await settle();
    pass(399);
    expect(environment.failures).toEqual([]);
    pass(1);
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: "ping" }]);
  });
});

describe("ends", () => {
  test("a driver given up leaves a running watchdog unattended, until one comes back in time", async () => {
    const { client, shadow, told, attach, pass } = await started();
    shadow.giveUp(new AirlockError("DriverUnavailable", "held"));
    expect(told).toEqual(["unattended"]);
    await expect(client.ping()).rejects.toMatchObject({ code: "DriverUnavailable" });
    pass(4_000);
    expect((await attach()).all[0]).toMatchObject({ args: { running: true, timeoutMs: 6_000 } });
  });

  test("closing a client rejects its calls and stops nothing; closing the shadow tells that it is left running", async () => {
    const { client, shadow, port, told, environment } = await started();
    const other = openClient(shadow);
    const events: string[] = [];
    other.on(({ kind }) => events.push(kind));
    const ping = client.ping();
    client.close();
    client.close();
    await expect(ping).rejects.toMatchObject({ code: "Closed" });
    expect(sent(port, "configure")).toHaveLength(1);
    shadow.close();
    expect([told, events]).toEqual([[], ["closed"]]);
    expect(environment.notes).toContain("the watchdog is left running: it runs out in 10000 ms");
    await expect(other.ping()).rejects.toMatchObject({ code: "Closed" });
  });
});
