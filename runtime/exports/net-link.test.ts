/** The link of net exports: opens, waits for a driver that is held, opens again, and passes frames and room both ways. */
import { describe, expect, test } from "vitest";
import { CableEnd } from "../../test/fixtures/net-cable.ts";
import { settle } from "../../test/fixtures/driver-port.ts";
import { VirtualClock } from "../api/clock.ts";
import { AirlockError } from "../api/errors.ts";
import type { LinkState } from "../classes/net/interface.ts";
import { NetLink } from "./net-link.ts";

const held = new AirlockError("DriverUnavailable", "the driver is held");
const frame = Uint8Array.from({ length: 60 }, (_, index) => index);

function setup() {
  const clock = new VirtualClock();
  const wire: Uint8Array[] = [];
  const end = new CableEnd("52:54:00:00:00:01", (frames) => void wire.push(...frames));
  const log: string[] = [];
  const told: string[] = [];
  const links: LinkState[] = [];
  const note = (level: string) => (text: string): void => void log.push(`${level}: ${text}`);
  const environment = { clock, open: end.open, log: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") } };
  const open = (): Promise<NetLink> => NetLink.open(environment, { mtu: 1_400 }, {
    received: (frames) => void told.push(`received ${frames.length}`),
    room: () => void told.push("room"),
    link: (state) => { links.push(state); told.push(state.up ? "up" : "down"); },
    identified: ({ mac }) => void told.push(mac),
  });
  return { clock, wire, end, log, told, links, environment, open };
}

describe("a link", () => {
  test("tells what the card is before anything else, and carries frames both ways", async () => {
    const { open, end, wire, told } = setup();
    const link = await open();
    expect(told).toEqual([end.mac, "up"]);
    expect(link.send([frame, frame])).toBe(2);
    await settle();
    expect(wire).toEqual([frame, frame]);
    end.arrive([frame]);
    end.setLink(false);
    expect(told.slice(2)).toEqual(["received 1", "down"]);
    link.close();
    end.arrive([frame]);
    expect([told.length, end.isOpen, await link.ended]).toEqual([4, false, undefined]);
    expect(link.send([frame])).toBe(0);
  });

  test("says once when there is room again", async () => {
    const { open, end, told } = setup();
    const link = await open();
    end.blocked = true;
    const many = Array.from({ length: 100 }, () => frame);
    const taken = link.send(many);
    expect(taken).toBeLessThan(100);
    expect(link.send(many)).toBe(0);
    end.unblock();
    await settle();
    await settle();
    expect(told.filter((what) => what === "room")).toHaveLength(1);
  });

  test("waits for a driver that is held from the start", async () => {
    const { open, end, told, log, clock } = setup();
    end.refusal = held;
    const link = await open();
    expect(told).toEqual(["down"]);
    expect(link.send([frame])).toBe(0);
    clock.advance(2_000_000);
    await settle();
    expect(log).toEqual(["warn: the interface is away and is opened again when it can be: the driver is held"]);
    end.refusal = undefined;
    clock.advance(500_000);
    await settle();
    expect(told).toEqual(["down", "down", end.mac, "up", "room"]);
    expect(log.at(-1)).toBe("info: the interface is open again");
  });

  test("opens another interface when one ends", async () => {
    const { open, end, told, clock } = setup();
    const link = await open();
    end.end(held);
    expect(link.link.up).toBe(false);
    clock.advance(500_000);
    await settle();
    expect([end.opened, told]).toEqual([2, [end.mac, "up", "down", end.mac, "up"]]);
    expect(end.configured).toEqual([{ mtu: 1_400 }, { mtu: 1_400 }]);
  });

  test("does not wait for ever for a driver that is slow to come", async () => {
    const { environment, clock, end } = setup();
    const slow = { ...environment, open: () => new Promise<never>(() => undefined) };
    const outer = { received: () => undefined, room: () => undefined, link: () => undefined, identified: () => undefined };
    const opening = NetLink.open(slow, {}, outer);
    clock.advance(2_000_000);
    const link = await opening;
    link.close();
    expect(end.opened).toBe(0);
  });

  test("ends with the machine; what it cannot be opened with is thrown", async () => {
    const { open, end } = setup();
    const link = await open();
    end.end(new AirlockError("Closed", "the machine is shutting down"));
    expect((await link.ended)?.code).toBe("Closed");
    end.refusal = new AirlockError("AddressInUse", "open already");
    await expect(open()).rejects.toMatchObject({ code: "AddressInUse" });
  });
});
