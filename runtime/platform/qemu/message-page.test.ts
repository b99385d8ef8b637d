import { afterAll, describe, expect, test } from "vitest";
import type { RamAccess } from "../../bus/ram.ts";
import { createRam, freeRam, openRam } from "../../native/ram.ts";
import { MessagePage, messageToken } from "./message-page.ts";

const shared = { sizeBytes: 0x4000, firstFreeOffset: 0, shared: new SharedArrayBuffer(0x4000) };

/** RAM that can only be copied, as without the addon. */
function copied(ram: RamAccess): RamAccess {
  return { sizeBytes: ram.sizeBytes, view: () => undefined, read: (at, into) => ram.read(at, into), write: (at, from) => ram.write(at, from), close: () => ram.close() };
}

const handle = createRam(0x4000, 0);
afterAll(() => freeRam(handle));

const send = (ram: RamAccess, vector: number): void => ram.write(0x1000 + MessagePage.offsetOf(vector), Uint8Array.of(messageToken, 0, 0, 0));

describe.each([["seen as memory", openRam(handle)], ["shared memory", openRam(shared)], ["copied", copied(openRam(shared))]])("the page of messages, %s", (_name, ram) => {
  test("tells each vector that sent, once", () => {
    const page = new MessagePage(ram, 0x1000, 33);
    expect(page.take()).toEqual([]);
    for (const vector of [3, 0, 32, 3]) send(ram, vector);
    expect(page.take()).toEqual([0, 3, 32]);
    expect(page.take()).toEqual([]);
    send(ram, 3);
    expect(page.take()).toEqual([3]);
  });

  test("has words for a page's vectors only", () => {
    expect(() => new MessagePage(ram, 0x1000, 1_025)).toThrow(RangeError);
  });
});
