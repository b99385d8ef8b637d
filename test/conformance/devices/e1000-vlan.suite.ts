/** VLAN tags in the 82540EM suite: put in, taken out, filtered. Source: Intel 317453, chapter 9. */
import { expect, test } from "vitest";
import { type Nic, type OnNic, cmd, descriptorBytes, makeFrame, otherMac, rctl, reg, tctl } from "./e1000-rig.ts";

const whole = cmd.eop | cmd.ifcs | cmd.rs;
const vme = 2 ** 30;
const vfe = 1 << 18;
const vet = 0x38;
/** VLE of a transmit descriptor, VP of a receive descriptor. */
const vle = 0x40;
const vp = 0x08;
/** Priority 5, VLAN 0x123. */
const tag = 0xa123;

/** The frame as it is on the wire with a tag. */
function tagged(frame: Uint8Array, control = tag, type = 0x8100): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), type >> 8, type & 0xff, control >> 8, control & 0xff, ...frame.subarray(12));
}

async function setMode(nic: Nic, on: boolean): Promise<void> {
  const control = await nic.get(reg.ctrl);
  await nic.set(reg.ctrl, on ? control | vme : control & ~vme);
  await nic.set(vet, 0x8100);
}

/** One descriptor of the transmit ring: legacy, or with `extended` data that rests on no context. */
async function transmitTagged(nic: Nic, index: number, frame: Uint8Array, command: number, extended: boolean): Promise<void> {
  const bytes = new Uint8Array(descriptorBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(await nic.place(frame)), true);
  view.setUint32(8, (frame.length | (extended ? 1 << 20 : 0) | ((command | (extended ? cmd.dext : 0)) << 24)) >>> 0, true);
  view.setUint16(14, tag, true);
  await nic.bench.writeMemory(nic.txRing.iova + index * descriptorBytes, bytes);
  await nic.set(reg.tdt, index + 1);
  await nic.until(async () => (await nic.get(reg.tdh)) === index + 1, "TDH reaches TDT");
}

/** Receives the next frame, and what its descriptor says of a tag. */
async function receiveSpecial(nic: Nic, index: number): Promise<{ bytes: Uint8Array; tag: number | undefined }> {
  const { bytes, status } = await nic.receive();
  const descriptor = await nic.bench.readMemory(nic.rxRing.iova + index * descriptorBytes, descriptorBytes);
  return { bytes, tag: (status & vp) === 0 ? undefined : descriptor[14]! | (descriptor[15]! << 8) };
}

export function vlanTests(on: OnNic): void {
  test("puts the descriptor's tag into a frame that asks for it, in VLAN mode (9.2)", on(async (nic) => {
    await nic.openTransmit();
    await setMode(nic, true);
    const frame = makeFrame(120, 3, otherMac);
    await transmitTagged(nic, 0, frame, whole | vle, false);
    await transmitTagged(nic, 1, frame, whole | vle, true);
    await transmitTagged(nic, 2, frame, whole, false);
    await setMode(nic, false);
    await transmitTagged(nic, 3, frame, whole | vle, false);
    expect(await nic.sent(4)).toEqual([tagged(frame), tagged(frame), frame, frame]);
  }));

  test("the longest frame has room for its tag, and the next one is whole", on(async (nic) => {
    await nic.openTransmit({ control: tctl.en });
    await setMode(nic, true);
    const frames = [makeFrame(1_514, 1, otherMac), makeFrame(64, 2, otherMac)];
    for (const [index, frame] of frames.entries()) await transmitTagged(nic, index, frame, whole | vle, false);
    expect(await nic.sent(2)).toEqual(frames.map((frame) => tagged(frame)));
  }));

  test("takes a tag out and says which it was (9.3)", on(async (nic) => {
    await setMode(nic, true);
    await nic.openReceive();
    const frame = makeFrame(200, 5);
    await nic.send(tagged(frame), frame, tagged(frame, tag, 0x88a8));
    expect(await receiveSpecial(nic, 0)).toEqual({ bytes: frame, tag });
    expect(await receiveSpecial(nic, 1)).toEqual({ bytes: frame, tag: undefined });
    expect(await receiveSpecial(nic, 2)).toEqual({ bytes: tagged(frame, tag, 0x88a8), tag: undefined });
  }));

  test("out of VLAN mode tags stay where they are", on(async (nic) => {
    await setMode(nic, false);
    await nic.openReceive();
    await nic.send(tagged(makeFrame(200, 5)));
    expect(await receiveSpecial(nic, 0)).toEqual({ bytes: tagged(makeFrame(200, 5)), tag: undefined });
  }));

  test("a tagged frame over several descriptors", on(async (nic) => {
    await setMode(nic, true);
    await nic.openReceive({ control: rctl.bsize256, bufferBytes: 256 });
    await nic.send(tagged(makeFrame(700, 1)));
    expect(await nic.receive()).toMatchObject({ bytes: makeFrame(700, 1), descriptors: 3 });
  }));

  test("with VFE tagged frames pass only for the VLANs in the table (13.4.22, 13.5.5)", on(async (nic) => {
    await setMode(nic, true);
    await nic.openReceive({ control: vfe });
    const frame = makeFrame(100, 7);
    await nic.send(tagged(frame));
    await nic.expectNothing();
    await nic.set(reg.vfta + ((tag & 0xfff) >> 5) * 4, 2 ** (tag & 31));
    await nic.send(tagged(frame), frame);
    expect(await receiveSpecial(nic, 0)).toEqual({ bytes: frame, tag });
    expect(await receiveSpecial(nic, 1)).toEqual({ bytes: frame, tag: undefined });
  }));
}
