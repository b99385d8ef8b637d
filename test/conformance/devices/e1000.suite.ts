/** What every 82540EM must do, simulated or QEMU's. Source: Intel 317453, sections named in the tests. */
import { describe, expect, test } from "vitest";
import { type DmaBenchFactory, withDmaBench } from "./dma-bench.ts";
import { Nic, cardMac, makeFrame, otherMac, rctl } from "./e1000-rig.ts";

/** Makes a test's body from one that is given a freshly powered card whose link is up. */
export type OnNic = (body: (nic: Nic) => Promise<void>) => () => Promise<void>;

export function e1000Suite(factory: DmaBenchFactory): void {
  const on: OnNic = (body) => () => withDmaBench(factory, async (bench) => {
    const nic = new Nic(bench);
    await nic.linkUp();
    await body(nic);
  });

  describe(`82540EM on ${factory.platform}`, () => {
    test("a frame each way", on(async (nic) => {
      await nic.openTransmit();
      await nic.openReceive({ control: rctl.bam });
      const out = makeFrame(100, 1, otherMac);
      await nic.transmit([out]);
      expect(await nic.sent(1)).toEqual([out]);
      const back = makeFrame(200, 2, cardMac);
      await nic.send(back);
      expect((await nic.receive()).bytes).toEqual(back);
    }));
  });
}
