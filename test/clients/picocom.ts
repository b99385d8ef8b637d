/** picocom as a client: a terminal program, so it gets a terminal of its own to talk to its user, who is the test. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { loadAddon } from "../../runtime/native/addon.ts";
import { Terminal } from "../../runtime/exports/pty/terminal.ts";
import { type ClientKind, Inbox, addonMissing, programMissing, receiveMs } from "./client.ts";

/** picocom's own key; C-a C-x ends it. */
const escapeKey = 0x01;
const quit = Uint8Array.of(escapeKey, 0x18);

export const picocom: ClientKind = {
  name: "picocom",
  reserved: [escapeKey],
  missing: () => programMissing("picocom", "picocom") ?? addonMissing(),
  async open(tty, baudRate) {
    const inbox = new Inbox();
    const user = new Terminal(loadAddon(), 115_200, 1, {
      received: async (bytes) => inbox.put(bytes),
      failed: (error) => inbox.put(Buffer.from(`[terminal failed: ${String(error)}]`)),
    });
    const slave = openSync(user.path, constants.O_RDWR | constants.O_NOCTTY);
    const child = spawn("picocom", ["--nolock", "--baud", String(baudRate), tty], { stdio: [slave, slave, slave] });
    closeSync(slave);
    const ended = once(child, "exit");
    const close = async (): Promise<void> => {
      if (child.exitCode === null && child.signalCode === null) {
        await user.write(quit);
        const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
        await ended;
        clearTimeout(timer);
      }
      user.close();
    };
    try {
      await inbox.take("Terminal ready\r\n", receiveMs);
    } catch (error) {
      await close();
      throw error;
    }
    return {
      send: (bytes) => user.write(bytes),
      receive: (length, timeoutMs = receiveMs) => inbox.take(length, timeoutMs),
      peek: () => inbox.peek(),
      left: () => (child.exitCode === null && child.signalCode === null ? undefined : `picocom ended: ${child.exitCode ?? child.signalCode}`),
      [Symbol.asyncDispose]: close,
    };
  },
};
