/** The net shadow and client above a driver played by the test: frames both ways, restarts at any moment, wrong completions. */
import { describe, expect, test } from "vitest";
import { TestEnvironment, settle } from "../../../test/fixtures/driver-port.ts";
import { frame, identity, linkDown, linkUp, opened, setup } from "../../../test/fixtures/net-bench.ts";
import { NetTestEnvironment } from "../../../test/fixtures/net-driver.ts";
import { AirlockError } from "../../api/errors.ts";
import { RecordKind } from "../../api/records.ts";
import { openClient } from "./client.ts";
import { net } from "./contract.ts";
import { createShadow } from "./shadow.ts";

describe("frames", () => {
  test("go out as they were sent, and come in as they arrived", async () => {
    const { shadow, client, port, received, environment } = await opened();
    const sent = [frame(1), frame(2), frame(3)];
    expect(client.send(sent)).toBe(3);
    for (const bytes of sent) bytes.fill(0);
    expect(shadow.receive(port.transmit())).toBeUndefined();
    expect(port.wire).toEqual([frame(1), frame(2), frame(3)]);
    expect(shadow.receive(port.arrive([frame(7), frame(8)]))).toBeUndefined();
    expect(received).toEqual([]);
    await settle();
    expect(received).toEqual([frame(7), frame(8)]);
    expect(client.counters).toMatchObject({ sent: 3, received: 2, dropped: 0, sentAgain: 0, refused: 0, drivers: 1 });
    expect(environment.servedOperations).toEqual(["transmit", "receive"]);
  });

  test("no more are with the driver than it takes, and none overwrites another", async () => {
    const { shadow, client, port } = await opened();
    const frames = Array.from({ length: 50 }, (_, number) => frame(number));
    expect(client.send(frames)).toBe(50);
    for (let rounds = 0; port.transmits.length > 0; rounds++) {
      expect(port.transmits.length).toBeLessThanOrEqual(identity.transmitDepth);
      shadow.receive(port.transmit(1 + (rounds % 7)));
    }
    expect(port.wire).toEqual(frames);
  });

  test("a full queue takes less, and says when there is room", async () => {
    const { shadow, client, port, told } = await opened();
    const batch = Array.from({ length: 64 }, (_, number) => frame(number, 60));
    let taken = 0;
    for (let last = 64; last === 64; taken += last) last = client.send(batch);
    expect(client.send(batch)).toBe(0);
    await settle();
    expect(told).not.toContain("room");
    while (port.transmits.length > 0) shadow.receive(port.transmit());
    await settle();
    expect(told.filter((what) => what === "room")).toHaveLength(1);
    expect(port.wire).toHaveLength(taken);
  });

  test("buffers are given back in batches, and all of them are always in use or about to be", async () => {
    const { shadow, port, received } = await opened();
    expect(port.empties).toHaveLength(identity.receiveDepth);
    shadow.receive(port.arrive([frame(1), frame(2), frame(3)]));
    expect(port.empties).toHaveLength(identity.receiveDepth - 3);
    shadow.receive(port.arrive([frame(4)]));
    expect(port.empties).toHaveLength(identity.receiveDepth);
    for (let number = 5; number < 200; number++) shadow.receive(port.arrive([frame(number)]));
    await settle();
    expect(received).toEqual(Array.from({ length: 199 }, (_, index) => frame(index + 1)));
  });

  test("a driver that loses a batch of buffers after a burst still receives, and is found out", async () => {
    const { environment, shadow, port, received } = await opened();
    const { send } = port;
    let lost = 0;
    port.send = (kind, id, tag, payload) => {
      if (kind !== RecordKind.requests || id !== net.queues.receive.id || lost > 0) return send.call(port, kind, id, tag, payload);
      lost = payload.length / 4 / net.queues.receive.request.words;
      return true;
    };
    const { receiveDepth } = identity;
    shadow.receive(port.arrive(Array.from({ length: receiveDepth }, (_, index) => frame(index))));
    expect(lost).toBe(receiveDepth / 4);
    expect(port.empties).toHaveLength(receiveDepth - lost);
    let number = receiveDepth;
    for (; environment.failures.length === 0 && number < 20 * receiveDepth; number++) shadow.receive(port.arrive([frame(number)]));
    await settle();
    expect(received).toHaveLength(number);
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: "receive" }]);
  });

  test("of a size that cannot be are refused one by one", async () => {
    const { shadow, port, client, received } = await opened();
    shadow.receive(port.arrive([frame(1, 13), frame(2, 14), frame(3, 1_518), frame(4, 1_519), frame(5, 0)]));
    await settle();
    expect(received.map(({ length }) => length)).toEqual([14, 1_518]);
    expect(client.counters.refused).toBe(3);
  });

  test("the client is told what a frame may be", async () => {
    const { client } = await opened();
    const short = { code: "InvalidArgument", message: expect.stringMatching(/13 bytes.*14 to 1518/) };
    expect(() => client.send([frame(1), frame(2, 13)])).toThrow(expect.objectContaining(short));
    expect(() => client.send([frame(1, 1_519)])).toThrow(/1519 bytes/);
    expect(client.counters.sent).toBe(0);
  });

  test("a listener that throws is noted and does no harm", async () => {
    const { shadow, environment, attach } = setup();
    const heard: string[] = [];
    openClient(shadow)({
      received: () => { heard.push("received"); throw new Error("oops"); }, room: () => undefined,
      link: () => { heard.push("link"); throw new Error("oops"); }, ended: () => void heard.push("ended"),
    });
    const port = await attach();
    expect(shadow.receive(port.arrive([frame(1)]))).toBeUndefined();
    shadow.giveUp(new AirlockError("DriverUnavailable", "held"));
    await settle();
    expect(heard).toEqual(["link", "received", "ended"]);
    expect(environment.notes).toEqual(["a client's listener threw: oops", "a client's listener threw: oops"]);
  });
});

describe("a driver that breaks the contract", () => {
  test.each([
    ["completes a frame twice", (port) => {
      const { tag } = port.transmits[0]!;
      return port.completions("transmit", [[tag, 0], [tag, 0]]);
    }, /a second one, or never asked/],
    ["completes what it never had", (port) => port.completions("transmit", [[77, 0]]), /tag 77/],
    ["completes a frame as a buffer", (port) => port.completions("receive", [[port.transmits[0]!.tag + 2 ** 20, 60]]), /not out/],
    ["completes with tag 0", (port) => port.completions("receive", [[0, 60]]), /tag 0/],
    ["claims more than the buffer holds", (port) => port.completions("receive", [[port.empties[0]!.tag, 2_049]]), /2049 bytes in a buffer of 2048/],
    ["claims an absurd size", (port) => port.completions("receive", [[port.empties[0]!.tag, 0xffff_ffff]]), /in a buffer of 2048/],
    ["has a status that does not exist", (port) => port.completions("transmit", [[port.transmits[0]!.tag, 3]]), /status 3/],
    ["completes half an entry", (port) => ({ ...port.completions("transmit", [[1, 0]]), payload: new Uint8Array(6) }), /6 bytes/],
    ["completes in a queue that does not exist", (port) => ({ ...port.completions("transmit", [[1, 0]]), id: 9 }), /queue 9/],
  ] satisfies [string, (port: Awaited<ReturnType<typeof opened>>["port"]) => unknown, RegExp][])("%s", async (_what, record, reason) => {
    const { shadow, client, port, received } = await opened();
    client.send([frame(1), frame(2)]);
    expect(shadow.receive(record(port))).toMatch(reason);
    await settle();
    expect(received).toEqual([]);
  });

  test("never completes a frame: it is reported, once", async () => {
    const { shadow, client, environment, port } = await opened();
    client.send([frame(1)]);
    environment.clock.advance(2_100_000);
    client.send([frame(2)]);
    environment.clock.advance(9_000_000);
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: "transmit" }]);
    shadow.receive(port.transmit());
    expect(port.wire).toHaveLength(2);
  });

  test("loses a buffer: it is reported when four times the depth of others came back, once", async () => {
    const { shadow, port, environment } = await opened();
    const [lost] = port.empties.splice(3, 1);
    for (let number = 0; number < 4 * identity.receiveDepth; number++) shadow.receive(port.arrive([frame(number)]));
    expect([lost !== undefined, environment.failures]).toEqual([true, []]);
    for (let number = 0; number < 8 * identity.receiveDepth; number++) shadow.receive(port.arrive([frame(number)]));
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: "receive" }]);
  });

  test("a buffer may wait for ever", async () => {
    const { environment } = await opened();
    environment.clock.advance(3_600e6);
    expect(environment.failures).toEqual([]);
  });
});

describe("a restart", () => {
  test("sends again what the driver had, before what waited, in its order", async () => {
    const { shadow, client, port, attach } = await opened();
    client.send([frame(1), frame(2), frame(3), frame(4)]);
    shadow.receive(port.transmit(2));
    shadow.detach();
    client.send([frame(5)]);
    const next = await attach();
    shadow.receive(next.transmit());
    expect(next.wire).toEqual([frame(3), frame(4), frame(5)]);
    expect(client.counters).toMatchObject({ sent: 5, sentAgain: 2, drivers: 2 });
  });

  test("what was completed out of order is not sent again, and what comes late from the dead is not taken", async () => {
    const { shadow, client, port, attach } = await opened();
    client.send([frame(1), frame(2), frame(3)]);
    const [first, second, third] = port.transmits;
    expect(shadow.receive(port.completions("transmit", [[second!.tag, 0]]))).toBeUndefined();
    shadow.detach();
    const next = await attach();
    expect(shadow.receive(port.completions("transmit", [[third!.tag, 0]]))).toMatch(/not out/);
    expect(next.transmits).toHaveLength(2);
    shadow.receive(next.transmit());
    expect(next.wire).toEqual([frame(1), frame(3)]);
    expect(first!.tag).not.toBe(third!.tag);
  });

  test("with resend off, what the driver had is dropped and counted", async () => {
    const { shadow, client, attach } = await opened({ settings: { resend: false } });
    client.send([frame(1), frame(2)]);
    shadow.detach();
    client.send([frame(3)]);
    const next = await attach();
    shadow.receive(next.transmit());
    expect(next.wire).toEqual([frame(3)]);
    expect(client.counters).toMatchObject({ sent: 1, dropped: 2, sentAgain: 0 });
  });

  test("replays the configuration, then asks, then works", async () => {
    const { shadow, client, attach, answerAll, port } = await opened();
    const configured = client.configure({ promiscuous: true, mac: "02:00:00:00:00:07", multicast: ["01:00:5e:00:00:01"] });
    await answerAll(port);
    await configured;
    shadow.detach();
    const next = await attach();
    expect(next.names).toEqual(["configure", "identify", "getLink"]);
    expect(next.all[0]!.args).toEqual({
      up: true, promiscuous: true, allMulticast: false, mtu: 1_500, mac: 0x02_00_00_00_00_07, multicast: Uint8Array.of(1, 0, 0x5e, 0, 0, 1),
    });
    expect(next.empties).toHaveLength(identity.receiveDepth);
  });

  test("again and again before anything is answered leaves no calls behind", async () => {
    const { shadow, attach } = await opened();
    for (let round = 0; round < 5; round++) {
      shadow.detach();
      void shadow.attach({ send: () => true });
      await settle();
    }
    const next = await attach();
    expect(next.names).toEqual(["configure", "identify", "getLink"]);
  });

  test("a driver with a smaller ring gets no more than that, one whose inbox is full gets it later", async () => {
    const { shadow, client, port, attach, environment } = await opened();
    client.send(Array.from({ length: 16 }, (_, number) => frame(number)));
    expect(port.transmits).toHaveLength(16);
    shadow.detach();
    const next = await attach({ identify: { ...identity, transmitDepth: 4, receiveDepth: 2 } });
    expect([next.transmits.length, next.empties.length]).toEqual([4, 2]);
    next.full = true;
    shadow.receive(next.transmit());
    expect(next.transmits).toHaveLength(0);
    next.full = false;
    environment.clock.advance(1_000);
    expect(next.transmits).toHaveLength(4);
  });

  test("another address or a smaller device is noted", async () => {
    const { shadow, attach, environment } = await opened();
    shadow.detach();
    await attach({ identify: { ...identity, mac: 0x52_54_00_00_00_01, maxMtu: 1_000 } });
    expect(environment.notes).toEqual([
      "the permanent address was 52:54:00:12:34:56 and is 52:54:00:00:00:01 now",
      "the device takes an MTU of at most 1000 now; the interface is configured for 1500",
    ]);
  });
});

describe("the carrier", () => {
  test("comes with the first driver, and goes and comes by its word", async () => {
    const { shadow, client, port, links } = await opened();
    expect(client.link).toEqual(linkUp);
    shadow.receive(port.event("link", { up: false, speedMbps: 100, fullDuplex: true }));
    shadow.receive(port.event("link", { up: true, speedMbps: 100, fullDuplex: false }));
    await settle();
    expect(client.link).toEqual({ up: true, speedMbps: 100, fullDuplex: false });
    shadow.receive(port.event("link", linkDown));
    await settle();
    expect(links).toEqual([linkUp, { up: true, speedMbps: 100, fullDuplex: false }, linkDown]);
  });

  test("stays through a restart that is over in time", async () => {
    const { shadow, client, attach, environment, links } = await opened();
    await settle();
    shadow.detach();
    environment.clock.advance(499_000);
    await attach();
    environment.clock.advance(10_000_000);
    await settle();
    expect([client.link, links]).toEqual([linkUp, [linkUp]]);
  });

  test("goes when a restart takes too long, and comes back with the driver", async () => {
    const { shadow, client, attach, environment, links } = await opened({ settings: { carrierLossMs: 100 } });
    shadow.detach();
    environment.clock.advance(101_000);
    expect(client.link.up).toBe(false);
    await settle();
    await attach();
    await settle();
    expect(links).toEqual([linkUp, linkDown, linkUp]);
  });

  test("is awaited when the next driver's device is still looking for it; frames wait meanwhile", async () => {
    const { shadow, client, attach, environment } = await opened();
    shadow.detach();
    const next = await attach({ getLink: linkDown });
    client.send([frame(1)]);
    expect([client.link.up, next.transmits.length]).toEqual([true, 0]);
    environment.clock.advance(200_000);
    shadow.receive(next.event("link", linkUp));
    expect([client.link.up, next.transmits.length]).toEqual([true, 1]);
  });

  test("that does not come back in time is gone, and frames are dropped until it comes", async () => {
    const { shadow, client, attach, environment } = await opened();
    shadow.detach();
    const next = await attach({ getLink: linkDown });
    client.send([frame(1)]);
    environment.clock.advance(501_000);
    expect(client.link.up).toBe(false);
    expect(client.send([frame(2), frame(3)])).toBe(2);
    expect(client.counters.dropped).toBe(3);
    shadow.receive(next.event("link", linkUp));
    client.send([frame(4)]);
    shadow.receive(next.transmit());
    expect(next.wire).toEqual([frame(4)]);
  });
});

describe("configuration", () => {
  test("frames wait until the driver has brought the interface up, and are dropped while it is down", async () => {
    const { openInterface, attach, answerAll, shadow } = setup();
    const port = await attach();
    const client = openInterface();
    client.send([frame(1)]);
    expect(port.transmits).toHaveLength(0);
    await answerAll(port);
    shadow.receive(port.transmit());
    expect(port.wire).toEqual([frame(1)]);
    const configured = client.configure({ up: false });
    expect(client.send([frame(2)])).toBe(1);
    await answerAll(port);
    await configured;
    expect([client.counters.dropped, port.transmits.length]).toEqual([1, 0]);
  });

  test("is up while the interface is open", async () => {
    const { port, client, answerAll, attach, shadow } = await opened();
    expect(port.all.filter(({ name }) => name === "configure").map(({ args }) => args["up"])).toEqual([false, true]);
    client.close();
    await answerAll(port);
    expect(port.all.at(-1)).toMatchObject({ name: "configure", args: { up: false } });
    shadow.detach();
    const next = await attach();
    expect(next.all[0]!.args["up"]).toBe(false);
  });

  test.each([
    [{ mtu: 9_001 }, /68 to 1500/], [{ mtu: 67 }, /67/], [{ mtu: 1_000.5 }, /1000.5/],
    [{ mac: "01:00:5e:00:00:01" }, /no address of a station/], [{ mac: "52-54-00-12-34-56" }, /no address of a station/],
    [{ mac: "00:00:00:00:00:00" }, /no address of a station/],
    [{ multicast: ["52:54:00:12:34:56"] }, /no multicast/],
  ])("refuses %j", async (settings, message) => {
    const { client } = await opened();
    await expect(client.configure(settings)).rejects.toMatchObject({ code: "InvalidArgument", message: expect.stringMatching(message) });
  });

  test("refuses more multicast addresses than it can have", async () => {
    const { client } = await opened();
    const multicast = Array.from({ length: 65 }, () => "01:00:5e:00:00:01");
    await expect(client.configure({ multicast })).rejects.toThrow(/at most 64.*allMulticast/);
  });

  test("larger frames need larger buffers: the machine file says so", async () => {
    const { client, port, answerAll, shadow, received } = await opened({ settings: { maxMtu: 9_000 }, bufferBytes: 1 << 20 });
    expect(port.empties[0]!.sizeBytes).toBe(16_384);
    const configured = client.configure({ mtu: 9_000 });
    await answerAll(port);
    await configured;
    client.send([frame(1, 9_018)]);
    shadow.receive(port.transmit());
    shadow.receive(port.arrive([frame(2, 9_018)]));
    await settle();
    expect([...port.wire, ...received]).toEqual([frame(1, 9_018), frame(2, 9_018)]);
  });

  test.each([
    [{ resent: true }, /only resend, carrierLossMs, maxMtu/], [{ resend: "yes" }, /true or false/], [{ maxMtu: 1e6 }, /68 to 9216/],
  ])("refuses shadow settings %j", (settings, message) => {
    expect(() => createShadow(new NetTestEnvironment({ settings }))).toThrow(message);
  });

  test("a driver without buffers, or with too few, is told what it needs", () => {
    expect(() => createShadow(new NetTestEnvironment({ bufferBytes: 4_095 }))).toThrow(/4095 bytes are too few.*at least 4096/);
    expect(() => createShadow(new TestEnvironment())).toThrow(/device: .*has none/);
  });
});

test("the device's counters are the driver's answer, however many drivers it takes", async () => {
  const { client, shadow, port, attach, environment } = await opened();
  const asked = client.statistics();
  expect(port.open.map(({ name }) => name)).toEqual(["statistics"]);
  shadow.detach();
  const totals = { received: 1, transmitted: 2, receiveErrors: 3, transmitErrors: 4, missed: 5 };
  await attach({ statistics: totals });
  expect(await asked).toEqual(totals);
  expect(environment.servedOperations).toEqual(["statistics"]);
});

describe("the end", () => {
  test("one holder at a time; the next one starts afresh", async () => {
    const { client, openInterface, shadow, port, answerAll } = await opened();
    expect(openInterface).toThrow(expect.objectContaining({ code: "AddressInUse" }));
    client.close();
    client.close();
    expect(client.send([frame(1)])).toBe(0);
    await expect(client.configure({})).rejects.toMatchObject({ code: "Closed" });
    const next = openInterface();
    next.send([frame(2)]);
    await answerAll(port);
    shadow.receive(port.transmit());
    expect(port.wire).toEqual([frame(2)]);
  });

  test("a driver given up ends the interface; it can be opened after a release", async () => {
    const { client, shadow, told, ended, openInterface, attach, answerAll } = await opened();
    const held = new AirlockError("DriverUnavailable", "it is held");
    const configured = client.configure({ promiscuous: true });
    shadow.giveUp(held);
    await expect(configured).rejects.toBe(held);
    await settle();
    expect([ended(), told.at(-1)]).toEqual([held, "ended"]);
    expect(openInterface).toThrow(held);
    const next = await attach();
    expect(next.all[0]!.args).toMatchObject({ up: false, promiscuous: false });
    const again = openInterface();
    again.send([frame(1)]);
    await answerAll(next);
    shadow.receive(next.transmit());
    expect(next.wire).toEqual([frame(1)]);
  });

  test("who the device is: at once when it is known, else when a driver says so, or the end", async () => {
    const { openInterface, attach, shadow } = setup();
    const client = openInterface();
    const asked = client.identity();
    await attach();
    expect(await asked).toEqual({ mac: "52:54:00:12:34:56", maxMtu: 1_500 });
    expect(await client.identity()).toEqual({ mac: "52:54:00:12:34:56", maxMtu: 1_500 });
    shadow.close();
    expect(() => openInterface()).toThrow(expect.objectContaining({ code: "Closed" }));
    const other = setup();
    const waiting = other.openInterface();
    const never = waiting.identity();
    waiting.close();
    await expect(never).rejects.toMatchObject({ code: "Closed" });
  });

  test("closing drops what waits, and nothing more is told", async () => {
    const { client, shadow, port, told, received } = await opened();
    shadow.receive(port.arrive([frame(1)]));
    const before = told.length;
    client.close();
    await settle();
    shadow.receive(port.arrive([frame(2)]));
    await settle();
    expect([received, told.length]).toEqual([[], before]);
  });
});
