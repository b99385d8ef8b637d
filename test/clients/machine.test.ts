/** Real clients on a real machine whose driver is made to fail: the terminal stays open and later lines come back intact. */
import { lstat, readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { findFaults } from "../../runtime/faults/find-faults.ts";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { type ClientKind, addonMissing, requireClient } from "./client.ts";
import { Lab, driver, isThinned } from "./lab.ts";
import { picocom } from "./picocom.ts";
import { serialport } from "./serialport.ts";
import { socket } from "./socket.ts";
import { termios } from "./termios.ts";

/** One fault for each way a failure is detected, armed before a line or while it is on its way; the soak has them all. */
const chosen = [
  ["throw", "before"], ["throw", "during"], ["irq-throw", "during"], ["init-throw", "before"], ["hang", "during"], ["hang-builtin", "before"],
  ["oom", "during"], ["stack-overflow", "before"], ["silence", "during"], ["wrong-tag", "before"], ["violation", "during"], ["revoked", "during"],
] as const;
const faults = await findFaults();
const hasQemu = await qemuAvailable();

/** Some 10 ms on the wire, more than the FIFOs and one transmit hold, so that a driver can fail in the middle of it. */
const filler = "abcdefghijklmnopqrstuvwxyz".repeat(4);

const setups: readonly { readonly exportType: "pty" | "unix"; readonly clients: readonly ClientKind[] }[] = [
  { exportType: "pty", clients: [picocom, termios, serialport] },
  { exportType: "unix", clients: [socket] },
];

describe.each([["sim"], ["qemu"]] as const)("on %s", (platform) => {
  describe.skipIf(platform === "qemu" && !hasQemu).each(setups)("$exportType", ({ exportType, clients }) => {
    let lab: Lab | undefined;

    beforeAll(async () => {
      if (exportType === "unix" || addonMissing() === undefined) lab = await Lab.open(platform, exportType);
    });
    afterAll(async () => {
      await lab?.[Symbol.asyncDispose]();
    });
    beforeEach((context) => requireClient(context, exportType === "pty" ? addonMissing() : undefined));

    test.each(clients)("$name exchanges lines while the driver fails", async (client) => {
      const machine = lab!;
      await using open = await client.open(machine.address, 115_200);
      let sent = await machine.exchange(open, "first");
      for (const [name, when] of chosen) {
        const fault = faults.get(name)!;
        await machine.settled();
        const before = machine.failures;
        if (when === "before") machine.inject(fault);
        sent += await machine.exchange(open, `${name} ${when} ${filler}`, when === "during" ? () => machine.inject(fault) : undefined);
        // A line may be through before an armed fault has its turn: more lines give it one.
        for (let more = 0; machine.failures === before; more++) sent += await machine.exchange(open, `${name} more ${more}`);
        await machine.settled();
        sent += await machine.exchange(open, `${name} is over`);
      }
      expect(open.left()).toBeUndefined();
      expect(isThinned(open.peek().toString("latin1"), sent)).toBe(true);
    }, 120_000);

    test.each(clients)("$name keeps its terminal while the driver is held", async (client) => {
      const machine = lab!;
      await machine.settled();
      await using open = await client.open(machine.address, 115_200);
      await machine.exchange(open, "before");
      const { supervisor } = machine.machine.driver(driver);
      await supervisor.hold("held by a test");
      await open.send(Buffer.from("while held\n"));
      expect(supervisor.release()).toBe(true);
      await machine.settled();
      expect((await open.receive(open.peek().length + "while held\n".length)).toString("latin1")).toMatch(/while held\n$/);
      await machine.exchange(open, "after");
      expect(open.left()).toBeUndefined();
    });

    test("closing takes the address away, and a client sees the end then", async () => {
      const machine = lab!;
      const [client] = clients as [ClientKind];
      await using open = await client.open(machine.address, 115_200);
      await machine.exchange(open, "last");
      expect((await lstat(machine.address)).isSymbolicLink()).toBe(exportType === "pty");
      await machine.close();
      await vi.waitUntil(() => open.left() !== undefined, { timeout: 10_000 });
      await expect(lstat(machine.address)).rejects.toMatchObject({ code: "ENOENT" });
      expect((await readdir(path.dirname(machine.address))).filter((name) => name.includes("tty"))).toEqual([]);
    });
  });
});
