/** The 82540EM suite on QEMU's card; where it differs from the manual is declared here. And what can be at its cable's other end. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { loadAddon } from "../../../runtime/native/addon.ts";
import { NetworkHost } from "../../../runtime/platform/network-host.ts";
import { qemuAvailable } from "../qemu-available.ts";
import { type DmaDeviceBench, withDmaBench } from "./dma-bench.ts";
import { Nic, cardMac, makeFrame, otherMac, rctl, reg } from "./e1000-rig.ts";
import { e1000Suite } from "./e1000.suite.ts";
import { qemuDmaBench } from "./qemu-dma-bench.ts";

const card = qemuDmaBench("e1000", [
  "e1000-reset-does-nothing", "e1000-no-transmit-padding", "e1000-no-legacy-checksum", "e1000-holds-frames", "e1000-io-window-dead",
  "iommu-quiet-on-cached-rights",
], { mac: "52:54:00:12:34:56" });

/** Why no TAP interface can be made here; undefined when one can. */
function tapMissing(): string | undefined {
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  try {
    loadAddon();
  } catch (error) {
    return String(error);
  }
  return process.getuid?.() === 0 ? undefined : "it takes root";
}

async function opened(bench: DmaDeviceBench): Promise<Nic> {
  const nic = new Nic(bench);
  await nic.linkUp();
  await nic.openTransmit();
  await nic.openReceive({ control: rctl.bam });
  return nic;
}

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  e1000Suite(card);

  describe("the cable of QEMU's 82540EM", () => {
    test("peer host answers", () => withDmaBench(card, async (bench) => {
      const nic = await opened(bench);
      const { mac } = new NetworkHost("10.1.2.3");
      // ARP: who has 10.1.2.3, tell 10.1.2.4 (RFC 826).
      const arp = new Uint8Array(60);
      arp.set([...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], ...cardMac, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...cardMac, 10, 1, 2, 4, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3]);
      await nic.transmit([arp]);
      const { bytes } = await nic.receive();
      expect([...bytes.subarray(0, 14)]).toEqual([...cardMac, ...mac, 8, 6]);
      expect([...bytes.subarray(20, 32)]).toEqual([0, 2, ...mac, 10, 1, 2, 3]);
    }, { peer: "host", address: "10.1.2.3" }));

    test("peer stream is another QEMU's card", async () => {
      const folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-"));
      const cable = { peer: "stream", path: path.join(folder, "cable, with a comma") };
      try {
        await withDmaBench(card, (left) => withDmaBench(card, async (right) => {
          const [one, other] = [await opened(left), await opened(right)];
          const frame = makeFrame(1_514, 7, otherMac);
          await one.transmit([frame]);
          expect((await other.receive()).bytes).toEqual(frame);
          await other.transmit([makeFrame(60, 8, cardMac)]);
          expect((await one.receive()).bytes).toEqual(makeFrame(60, 8, cardMac));
        }, { ...cable, mac: "02:00:00:00:00:99" }), { ...cable, server: true });
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    const missing = tapMissing();
    if (missing !== undefined) process.stderr.write(`skipping the test of peer tap: ${missing}\n`);
    test.skipIf(missing !== undefined)("peer tap is an interface of this machine, gone with QEMU", async () => {
      const name = `airq${process.pid}`;
      await withDmaBench(card, async (bench) => {
        const nic = await opened(bench);
        await nic.transmit([makeFrame(100, 1, otherMac), makeFrame(100, 2, otherMac)]);
        await bench.until(async () => Number(await readFile(`/sys/class/net/${name}/statistics/rx_packets`, "utf8")) >= 2, "the interface gets the frames");
      }, { peer: "tap", interface: name });
      expect(existsSync(`/sys/class/net/${name}`)).toBe(false);
    });

    test("a card whose receiver was just switched on receives at once", () => withDmaBench(card, async (bench) => {
      const nic = await opened(bench);
      await nic.set(reg.rctl, (await nic.get(reg.rctl)) & ~rctl.en);
      await nic.set(reg.rctl, (await nic.get(reg.rctl)) | rctl.en);
      await nic.send(makeFrame(100, 3, cardMac));
      // Reads let QEMU work, and no device time pass.
      for (let turn = 0; turn < 10_000 && ((await bench.readMemory(nic.rxRing.iova, 16))[12]! & 1) === 0; turn++) await nic.get(reg.status);
      expect((await bench.readMemory(nic.rxBuffers.iova, 100))).toEqual(makeFrame(100, 3, cardMac));
    }));
  });
});
