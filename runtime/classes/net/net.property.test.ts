/** The net class under any interleaving of traffic, completions, deaths and rings of any size: no frame is changed or lost by the shadow. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { settle } from "../../../test/fixtures/driver-port.ts";
import { frame, identity, linkDown, linkUp, setup } from "../../../test/fixtures/net-bench.ts";
import type { NetTestPort } from "../../../test/fixtures/net-driver.ts";

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("send" as const), count: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("transmit" as const), count: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("arrive" as const), count: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("transmitLast" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("attach" as const), depth: fc.integer({ min: 1, max: 24 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("full" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 40 }) }) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

test("every frame is delivered intact, in order per driver, and each one taken is sent, or sent again", async () => {
  expect.hasAssertions();
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 2, max: 40 }), async (steps, slots) => {
    const world = await open(slots * 2_048);
    for (const each of steps) await world.run(each);
    await world.finish();
  }), { numRuns: 200 });
}, 60_000);

test("a link that comes and goes, and drivers that are slow to find it, only drop frames that are counted", async () => {
  const what = fc.constantFrom("up" as const, "down" as const, "crash" as const, "attachDown" as const, "send" as const, "transmit" as const);
  const change = fc.record({ do: what, ms: fc.integer({ min: 0, max: 700 }) });
  await fc.assert(fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
    const { shadow, environment, attach, openInterface } = setup();
    const client = openInterface();
    let port: NetTestPort | undefined = await attach();
    let given = 0;
    for (const { do: each, ms } of changes) {
      if (each === "send") given += client.send([frame(given), frame(given + 1)]);
      else if (each === "crash") { shadow.detach(); port = undefined; }
      else if (each === "attachDown" && port === undefined) port = await attach({ getLink: linkDown });
      else if (port !== undefined && each === "transmit" && port.transmits.length > 0) shadow.receive(port.transmit());
      else if (port !== undefined && (each === "up" || each === "down")) shadow.receive(port.event("link", each === "up" ? linkUp : linkDown));
      environment.clock.advance(ms * 1_000);
    }
    shadow.detach();
    const last = await attach();
    while (last.transmits.length > 0) shadow.receive(last.transmit());
    expect(client.link).toEqual(linkUp);
    const { sent, dropped } = client.counters;
    expect(sent + dropped).toBe(given);
  }), { numRuns: 200 });
}, 60_000);

async function open(bufferBytes: number) {
  const { shadow, environment, attach, openInterface, received } = setup({ bufferBytes });
  const client = openInterface();
  const ports: NetTestPort[] = [await attach()];
  let port: NetTestPort | undefined = ports[0];
  let given = 0;
  let arrived = 0;
  const expected: Uint8Array[] = [];
  const run = async (each: Step): Promise<void> => {
    switch (each.do) {
      case "send": given += client.send(Array.from({ length: each.count }, (_, index) => frame(given + index))); break;
      case "transmit": if (port !== undefined && port.transmits.length > 0) expect(shadow.receive(port.transmit(each.count))).toBeUndefined(); break;
      case "transmitLast": {
        if (port === undefined || port.transmits.length === 0) break;
        port.transmits.unshift(port.transmits.pop()!);
        expect(shadow.receive(port.transmit(1))).toBeUndefined();
        break;
      }
      case "arrive": {
        const frames = Array.from({ length: Math.min(each.count, port?.empties.length ?? 0) }, () => frame(arrived++));
        if (frames.length === 0) break;
        expected.push(...frames);
        expect(shadow.receive(port!.arrive(frames))).toBeUndefined();
        break;
      }
      case "crash": shadow.detach(); port = undefined; break;
      case "attach": {
        if (port !== undefined) break;
        port = await attach({ identify: { ...identity, transmitDepth: each.depth, receiveDepth: each.depth } });
        ports.push(port);
        break;
      }
      case "full": if (port !== undefined) port.full = !port.full; break;
      case "wait": environment.clock.advance(each.ms * 1_000); break;
    }
  };
  const finish = async (): Promise<void> => {
    shadow.detach();
    const last = await attach();
    ports.push(last);
    while (last.transmits.length > 0) expect(shadow.receive(last.transmit())).toBeUndefined();
    await settle();
    expect(received).toEqual(expected);
    expect(environment.failures).toEqual([]);
    const { sent, dropped, refused } = client.counters;
    expect([sent, dropped, refused]).toEqual([given, 0, 0]);
    expect(ports.map(({ wire }) => wire.length).reduce((sum, length) => sum + length)).toBe(given);
    const wire = ports.flatMap((each) => each.wire).map((bytes) => Buffer.from(bytes).toString("latin1"));
    expect(wire.toSorted()).toEqual(Array.from({ length: given }, (_, number) => Buffer.from(frame(number)).toString("latin1")).toSorted());
  };
  return { run, finish };
}
