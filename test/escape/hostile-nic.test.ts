/** Network drivers that attack with their device, their queues or their answers: nobody else notices, and their own clients have a link again. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { FailureKind } from "../../runtime/api/failure.ts";
import type { NetInterface, OpenInterface } from "../../runtime/classes/net/interface.ts";
import { type Attacker, HostileDevices } from "./hostile-devices.ts";

/** The drivers attack when they are to send a frame of this size. */
const attackBytes = 666;
const patienceMs = 15_000;
const page = 4_096;
/** Of every simulated card that is given no other. */
const mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/** As the I/O manager lays out the fixture's domain: two regions with a page between them. */
const gap = 0x10_0000 + 2 * page;
const buffersEnd = gap + page + 0x4_0000;

interface Expected extends Attacker {
  readonly kinds: readonly FailureKind[];
  readonly says?: RegExp;
}

const sends = { attack: "sends-from", kinds: ["dma-fault"], restarts: 0 } as const;
const receives = { attack: "receives-into", kinds: ["dma-fault"], restarts: 0 } as const;
const wrong = { kinds: ["protocol-violation"], restarts: 0 } as const;

const attacks: Readonly<Record<string, Expected>> = {
  "sends-unmapped": { ...sends, address: 0x7000_0000, says: /0x70000000/ },
  "sends-address-zero": { ...sends, address: 0 },
  "sends-of-others": { ...sends, address: buffersEnd + 64 * page },
  "sends-running-over": { ...sends, address: buffersEnd - 64 },
  "receives-unmapped": { ...receives, address: 0x7000_0000 },
  "receives-address-zero": { ...receives, address: 0 },
  "receives-message-page": { ...receives, address: 0xfee0_0000 },
  "receives-between": { ...receives, address: gap },
  "receives-into-others": { ...receives, address: buffersEnd + 64 * page },
  "foreign-rings": { attack: "foreign-rings", address: 0x6000_0000, kinds: ["dma-fault"], restarts: 0 },
  "sends-twice": { attack: "sends-twice", ...wrong, says: /which is not out/ },
  "receives-twice": { attack: "receives-twice", ...wrong, says: /which is not out/ },
  "unknown-tag": { attack: "unknown-tag", ...wrong, says: /which is not out/ },
  "unknown-status": { attack: "unknown-status", ...wrong, says: /status 99/ },
  "long-frame": { attack: "long-frame", ...wrong, says: /100000 bytes in a buffer of 2048/ },
  "floods-receive": { attack: "floods-receive", kinds: ["protocol-violation", "message-flood", "turn-limit", "hang"], restarts: 0 },
  "storms": { attack: "storms", kinds: ["irq-storm"], restarts: 0 },
};

/** Lies that no network can tell from a bad cable: their clients' own checks find them. */
const unseen: Readonly<Record<string, Attacker>> = {
  "invents-frames": { attack: "invents-frames" }, "swaps-frames": { attack: "swaps-frames" }, "never-sends": { attack: "never-sends" },
};

test("every attack has its expectation", () => {
  const folder = path.join(import.meta.dirname, "../fixtures/drivers/hostile-nic");
  const all = readdirSync(folder).filter((name) => name.endsWith(".ts") && readFileSync(path.join(folder, name), "utf8").includes("defineDriver("));
  expect([...new Set(Object.values({ ...attacks, ...unseen }).map(({ attack }) => `${attack}.ts`))].sort()).toEqual(all.sort());
});

/** A client of one interface: frames that the far end sends back, each with its own number in it. */
class Client {
  readonly received: Uint8Array[] = [];
  readonly net: NetInterface;
  #next = 0;

  constructor(open: OpenInterface) {
    this.net = open({ received: (frames) => { this.received.push(...frames); }, room: () => undefined, link: () => undefined, ended: () => undefined });
  }

  /** A frame of the EtherType that the far end reflects. */
  send(sizeBytes: number): number {
    const frame = new Uint8Array(sizeBytes).fill(0xa5);
    const number = ++this.#next;
    frame.set([2, 0, 0, 0, 0x88, 0xb5, ...mac, 0x88, 0xb5, number >> 8, number & 0xff]);
    this.net.send([frame]);
    return number;
  }

  /** Sends until one comes back that is not one the driver attacks with. */
  async works(): Promise<void> {
    let first: number | undefined;
    await vi.waitUntil(() => {
      const number = this.send(300);
      first ??= number;
      return this.received.some((frame) => frame.length === 300 && (frame[14]! << 8 | frame[15]!) >= first!);
    }, { timeout: patienceMs, interval: 10 });
  }
}

for (const tier of ["quickjs", "worker"] as const) {
  describe(tier, () => {
    let machine: HostileDevices;
    beforeAll(async () => { machine = await HostileDevices.open({ tier, fixture: "hostile-nic", attackers: { ...attacks, ...unseen } }); });
    afterAll(() => machine[Symbol.asyncDispose]());

    const opened = async (name: string): Promise<Client> => {
      const client = new Client(machine.client(name) as OpenInterface);
      await client.net.configure({ up: true });
      await client.works();
      return client;
    };

    test.each(Object.entries(attacks))("%s is found out, and its client is served by an honest driver", async (name, { kinds, says }) => {
      const client = await opened(name);
      client.send(attackBytes);
      await vi.waitUntil(() => client.send(300) > 0 && machine.failures(name) > 0, { timeout: patienceMs, interval: 5 });
      const failure = await machine.until(name, "running", 1);
      for (const kind of machine.kinds(name)) expect(kinds, failure.message).toContain(kind);
      if (says !== undefined) expect(failure.message).toMatch(says);
      await client.works();
      expect(machine.status(name)).toMatchObject({ escalated: true, generation: 2n });
      client.net.close();
      await machine.neighboursAreWell();
    });

    test.each(Object.keys(unseen))("%s: what its client gets is of its own buffers only", async (name) => {
      const client = await opened(name);
      for (let n = 0; n < 2; n++) client.send(attackBytes);
      await client.works();
      expect(machine.failures(name)).toBe(0);
      // Its own frames, or what never was anything.
      for (const frame of client.received) expect(frame.subarray(16).every((byte) => byte === 0xa5 || byte === 0)).toBe(true);
      client.net.close();
      await machine.neighboursAreWell();
    });
  });
}
