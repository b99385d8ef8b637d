/** A TAP interface over an addon played by the test: batches, what the kernel does not take, and what an operator is told. */
import { openSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AirlockError } from "../../api/errors.ts";
import type { NativeAddon } from "../../native/addon.ts";
import { TapDevice } from "./device.ts";

const options = { name: "al-test", mtu: 1_500, up: true };

type Deliver = (batch: Uint8Array | undefined, sizes: Uint32Array, errno: number) => void;

/** An addon whose kernel takes `takes` frames of each write, or fails with an errno's name. */
function setup(behaviour: { readonly takes?: number; readonly openError?: string; readonly writeError?: string } = {}) {
  const written: number[][] = [];
  const calls: string[] = [];
  let deliver: Deliver = () => undefined;
  const fail = (code: string): never => { throw Object.assign(new Error(`ioctl: ${code}`), { code }); };
  const addon = {
    openTap: () => (behaviour.openError === undefined ? { fd: openSync("/dev/null", "r"), name: "al-test" } : fail(behaviour.openError)),
    TapReader: class {
      constructor(_fd: number, callback: Deliver) { deliver = callback; }
      resume(): void { calls.push("resume"); }
      close(): void { calls.push("close"); }
    },
    writeFrames: (_fd: number, bytes: Uint8Array, sizes: Uint32Array) => {
      if (behaviour.writeError !== undefined) fail(behaviour.writeError);
      const taken = Math.min(sizes.length, behaviour.takes ?? sizes.length);
      let at = 0;
      for (const size of sizes.subarray(0, taken)) written.push([...bytes.subarray(at, (at += size))]);
      return taken;
    },
  } as unknown as NativeAddon;
  const sent: number[][] = [];
  const failures: AirlockError[] = [];
  const open = (): TapDevice => new TapDevice(addon, options, {
    sent: (frames) => void sent.push(...frames.map((each) => [...each])),
    failed: (error) => void failures.push(error),
  });
  return { open, written, calls, sent, failures, deliver: (...args: Parameters<Deliver>) => deliver(...args) };
}

describe("a TAP device", () => {
  test("cuts batches into frames, and asks for the next one when told to", async () => {
    const { open, deliver, sent, calls } = setup();
    const device = open();
    deliver(Uint8Array.of(1, 2, 3, 4, 5), Uint32Array.of(2, 3), 0);
    expect([sent, calls]).toEqual([[[1, 2], [3, 4, 5]], []]);
    device.resume();
    device.close();
    device.close();
    device.resume();
    deliver(Uint8Array.of(9), Uint32Array.of(1), 0);
    expect([sent.length, calls]).toEqual([2, ["resume", "close"]]);
  });

  test("writes batches of any size, and says what was not taken", async () => {
    const { open, written } = setup({ takes: 3 });
    const device = open();
    expect(device.write([Uint8Array.of(1), Uint8Array.of(2, 3)])).toBe(0);
    expect(device.write(Array.from({ length: 5_000 }, () => Uint8Array.of(7)))).toBe(5_000 - 6);
    expect(written).toEqual([[1], [2, 3], ...Array.from({ length: 6 }, () => [7])]);
    device.close();
    expect(device.write([Uint8Array.of(1)])).toBe(1);
  });

  test("an interface that is down takes nothing; one that is gone is told", async () => {
    const { open, deliver, failures } = setup({ writeError: "EIO" });
    const device = open();
    expect(device.write([Uint8Array.of(1), Uint8Array.of(2)])).toBe(2);
    deliver(undefined, new Uint32Array(0), 77);
    expect(failures).toMatchObject([{ code: "Closed", fields: { interface: "al-test", errno: 77 } }]);
    device.close();
  });

  test.each([
    ["EPERM", "Unsupported", /CAP_NET_ADMIN.*ip tuntap add dev al-test/],
    ["ENOENT", "Unsupported", /modprobe tun.*\/dev\/net\/tun/],
    ["EBUSY", "AddressInUse", /another process/],
    ["EINVAL", "AddressInUse", /no TAP interface/],
    ["ENOMEM", "Unsupported", /ENOMEM/],
  ])("%s is told as %s with what to do", (openError, code, message) => {
    const { open } = setup({ openError });
    expect(open).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
