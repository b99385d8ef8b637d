/** The rtc shadow and client: time from the log, corrected setTime, missed alarms, events and aborts. */
import { describe, expect, test } from "vitest";
import { AirlockError } from "../../api/errors.ts";
import { TestEnvironment, TestPort, attachAnswering, settle } from "../../../test/fixtures/driver-port.ts";
import { fromEpochSeconds, passed, toEpochSeconds } from "./calendar.ts";
import { openClient } from "./client.ts";
import { createShadow } from "./shadow.ts";

const noon = { year: 2026, month: 11, day: 20, hour: 12, minute: 0, second: 0 };
const noonMs = Date.UTC(2026, 10, 20, 12);

function setup() {
  const environment = new TestEnvironment();
  const shadow = createShadow(environment);
  const attach = () => attachAnswering(shadow, () => ({}));
  return { environment, shadow, client: openClient(shadow), attach };
}

/** A machine whose driver has been read once, at noon. */
async function started() {
  const all = setup();
  const port = await all.attach();
  await settle();
  expect(all.shadow.receive(port.answer(noon))).toBeUndefined();
  await settle();
  return { ...all, port };
}

describe("readTime", () => {
  test("comes from the device while the driver is well", async () => {
    const { client, shadow, port } = await started();
    const time = client.readTime();
    expect(shadow.receive(port.answer({ ...noon, second: 7 }))).toBeUndefined();
    expect((await time).getTime()).toBe(noonMs + 7_000);
  });

  test("comes from the log while the driver is away, never waiting", async () => {
    const { client, shadow, environment } = await started();
    const asked = client.readTime();
    shadow.detach();
    expect((await asked).getTime()).toBe(noonMs);
    environment.clock.advance(2_999_999);
    expect((await client.readTime()).getTime()).toBe(noonMs + 2_000);
    expect(environment.servedOperations).toEqual(["readTime", "readTime"]);
  });

  test("before anything is known waits for a driver", async () => {
    const { client, shadow, attach } = setup();
    const time = client.readTime();
    const port = await attach();
    shadow.receive(port.answer(noon));
    expect((await time).getTime()).toBe(noonMs);
  });

  test("of a date that does not exist is the driver's failure", async () => {
    const { client, shadow, port } = await started();
    void client.readTime().catch(() => undefined);
    expect(shadow.receive(port.answer({ ...noon, month: 2, day: 30 }))).toMatch(/no such date/);
  });
});

describe("setTime", () => {
  test("sent again by the next driver sets the same instant", async () => {
    const { client, shadow, environment, attach, port } = await started();
    const set = client.setTime(new Date(noonMs));
    expect(port.open[0]!.args).toEqual(noon);
    environment.clock.advance(1_500_000);
    shadow.detach();
    environment.clock.advance(1_600_000);
    const next = await attach();
    expect(next.open[0]).toMatchObject({ name: "setTime", args: { ...noon, second: 3 } });
    shadow.receive(next.answer());
    await set;
    shadow.detach();
    expect((await client.readTime()).getTime()).toBe(noonMs + 3_000);
  });

  test("answered is never replayed", async () => {
    const { client, shadow, attach, port } = await started();
    const set = client.setTime(new Date(noonMs));
    shadow.receive(port.answer());
    await set;
    shadow.detach();
    expect((await attach()).names).not.toContain("setTime");
  });

  test("outside the clock's years is refused", async () => {
    const { client } = await started();
    await expect(client.setTime(new Date(Date.UTC(1969, 0)))).rejects.toMatchObject({ code: "InvalidArgument" });
    await expect(client.setTime(new Date(NaN))).rejects.toMatchObject({ code: "InvalidArgument" });
  });
});

describe("the alarm", () => {
  async function armed() {
    const all = await started();
    const alarms: string[] = [];
    all.client.on((event) => alarms.push(event.kind));
    const set = all.client.setAlarm({ hour: 12, minute: 0, second: 5 });
    all.shadow.receive(all.port.answer());
    await set;
    return { ...all, alarms };
  }

  test("is told", async () => {
    const { shadow, port, alarms } = await armed();
    shadow.receive(port.event("alarm"));
    expect(alarms).toEqual(["alarm"]);
  });

  test("that passed while the driver was away is told after the restart, once", async () => {
    const { shadow, environment, alarms, attach } = await armed();
    shadow.detach();
    environment.clock.advance(8e6);
    const next = await attach();
    await settle();
    expect(next.names).toEqual(["setAlarm", "readTime"]);
    shadow.receive(next.answer({ ...noon, second: 8 }));
    await settle();
    expect(alarms).toEqual(["alarm"]);
    shadow.receive(next.event("alarm"));
    expect(alarms).toEqual(["alarm"]);
  });

  test("that was told before the crash is not told again", async () => {
    const { shadow, environment, alarms, attach, port } = await armed();
    environment.clock.advance(4_900_000);
    shadow.receive(port.event("alarm"));
    shadow.detach();
    environment.clock.advance(1e6);
    const next = await attach();
    await settle();
    shadow.receive(next.answer({ ...noon, second: 6 }));
    await settle();
    expect(alarms).toEqual(["alarm"]);
  });

  test("cleared is replayed as cleared", async () => {
    const { client, shadow, port, attach } = await armed();
    const cleared = client.clearAlarm();
    shadow.receive(port.answer());
    await cleared;
    shadow.detach();
    expect((await attach()).names[0]).toBe("clearAlarm");
  });
});

describe("events", () => {
  test("periodic ticks are yielded as sums, and leaving the loop turns them off", async () => {
    const { client, shadow, port } = await started();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const count of client.periodic(64)) {
        seen.push(count);
        if (seen.length === 2) break;
      }
    })();
    await settle();
    expect(port.open[0]).toMatchObject({ name: "setPeriodic", args: { rateHz: 64 } });
    shadow.receive(port.answer());
    await settle();
    for (const count of [1, 2]) shadow.receive(port.event("periodic", { count }));
    await settle();
    shadow.receive(port.event("periodic", { count: 4 }));
    await settle();
    expect(seen).toEqual([3, 4]);
    expect(port.open[0]).toMatchObject({ name: "setPeriodic", args: { rateHz: 0 } });
    shadow.receive(port.answer());
    await reading;
  });

  test("a rate that is no power of two is refused", async () => {
    const { client } = await started();
    await expect(client.setPeriodic(3)).rejects.toMatchObject({ code: "InvalidArgument" });
  });

  test("a listener that throws disturbs nobody", async () => {
    const { client, shadow, port, environment } = await started();
    const seen: string[] = [];
    client.on(() => { throw new Error("mine"); });
    client.on((event) => seen.push(event.kind));
    shadow.receive(port.event("update"));
    shadow.receive(port.event("batteryLow"));
    expect(seen).toEqual(["update", "batteryLow"]);
    expect(environment.notes[0]).toMatch(/mine/);
  });
});

describe("ends", () => {
  test("closing the client rejects its calls and ends its loops; the device stays for others", async () => {
    const { client, shadow, port } = await started();
    const other = openClient(shadow);
    const call = client.setUpdateEvents(true);
    const loop = (async () => { for await (const _alarm of client.alarms()) throw new Error("there was none"); })();
    await settle();
    client.close();
    await expect(call).rejects.toMatchObject({ code: "Closed" });
    await loop;
    shadow.receive(port.answer());
    const time = other.readTime();
    shadow.receive(port.answer(noon));
    expect((await time).getTime()).toBe(noonMs);
  });

  test("an abort ends a loop with the signal's reason", async () => {
    const { client } = await started();
    const abort = new AbortController();
    const loop = (async () => { for await (const _alarm of client.alarms({ signal: abort.signal })) throw new Error("there was none"); })();
    await settle();
    abort.abort(new Error("enough"));
    await expect(loop).rejects.toThrow("enough");
  });

  test("a driver given up fails calls until the next attach; closing the shadow fails them for good", async () => {
    const { client, shadow, attach } = await started();
    shadow.giveUp(new AirlockError("DriverUnavailable", "held"));
    await expect(client.readTime()).rejects.toMatchObject({ code: "DriverUnavailable" });
    const port: TestPort = await attach();
    const time = client.readTime();
    shadow.receive(port.answer(noon));
    await time;
    shadow.close();
    await expect(client.readTime()).rejects.toMatchObject({ code: "Closed" });
  });
});

test("calendar arithmetic", () => {
  expect(toEpochSeconds(noon)).toBe(noonMs / 1000);
  expect(fromEpochSeconds(noonMs / 1000)).toEqual(noon);
  expect(toEpochSeconds({ ...noon, month: 2, day: 29 })).toBeUndefined();
  expect(fromEpochSeconds(-1)).toBeUndefined();
  expect([passed(100, 99, 100), passed(100, 100, 101), passed(100, 101, 86_499), passed(100, 101, 86_500)]).toEqual([true, false, false, true]);
});
