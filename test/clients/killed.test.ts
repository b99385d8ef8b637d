/** A daemon that was killed leaves a link and sockets behind; the next one replaces them, and takes them away at its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdtemp, readdir, readlink, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { type ClientKind, Inbox, addonMissing, receiveMs, requireClient } from "./client.ts";
import { labFile } from "./lab.ts";
import { serialport } from "./serialport.ts";
import { socket } from "./socket.ts";

const main = path.join(import.meta.dirname, "../../dist/runtime/cli/main.js");

beforeEach((context) => requireClient(context, addonMissing(), serialport.missing()));

test.each<["pty" | "unix", string, ClientKind]>([["pty", "tty.tty", serialport], ["unix", "tty.sock", socket]])("%s", async (type, name, client) => {
  const directory = await mkdtemp(path.join(os.tmpdir(), "airlock-killed-"));
  const state = path.join(directory, "state");
  const address = path.join(state, name);
  const running: ChildProcess[] = [];
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [main, "run", path.join(directory, "lab.yaml"), "--state", state], { stdio: ["ignore", "pipe", "pipe"] });
    running.push(child);
    const output = new Inbox();
    child.stdout.on("data", output.put);
    child.stderr.on("data", output.put);
    await output.take('"msg":"ready"', receiveMs);
    return child;
  };
  try {
    await writeFile(path.join(directory, "lab.yaml"), labFile("sim", type));
    const first = await start();
    const before = await lstat(address);
    const gone = once(first, "exit");
    first.kill("SIGKILL");
    await gone;
    expect((await lstat(address)).ino).toBe(before.ino);

    const second = await start();
    if (type === "pty") expect(await readlink(address)).toMatch(/^\/dev\/pts\/\d+$/);
    {
      await using open = await client.open(address, 115_200);
      await open.send(Buffer.from("alive\n"));
      expect((await open.receive(6)).toString()).toBe("alive\n");
    }
    const ended = once(second, "exit");
    second.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    expect((await readdir(state)).filter((entry) => /tty|sock/.test(entry))).toEqual([]);
  } finally {
    for (const child of running) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  }
});
