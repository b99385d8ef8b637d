/** An ext4 file system on an NBD disk, through nbdfuse and a loop device: made, filled, checked, and read again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { TestContext } from "vitest";
import { programMissing, requireClient } from "./client.ts";
import { type NbdDisk, nbdInfo, noise } from "./nbd-checks.ts";
import { run, succeed } from "./nbd-run.ts";

/** How long nbdfuse may take to connect and mount. */
const mountMs = 15_000;
const pollMs = 20;

/** Skips the test with a printed reason where a program is missing (see `requireClient`), or where the kernel gives no fuse or loop device. */
export async function requireFileSystem(context: TestContext): Promise<void> {
  requireClient(context, ...programs.map(([program, name]) => programMissing(program, name)));
  const reason = await kernelRefuses();
  if (reason === undefined) return;
  console.warn(`skipped "${context.task.name}": ${reason}`);
  context.skip(reason);
}

/** With their Debian packages. */
const programs = [
  ["nbdfuse", "libnbd-bin"], ["nbdinfo", "libnbd-bin"], ["losetup", "mount"], ["mount", "mount"], ["mkfs.ext4", "e2fsprogs"], ["e2fsck", "e2fsprogs"],
] as const;

async function kernelRefuses(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "mounting a file system needs root";
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse";
  const { status, stderr } = await run("losetup", ["--find"]);
  return status === 0 ? undefined : `there is no loop device: ${stderr.trim()}`;
}

/** `during` is called with the file system mounted and being written to. */
export async function checkFileSystem({ uri, scratch }: NbdDisk, during: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const mountPoint = path.join(scratch, "mounted");
  await mkdir(mountPoint, { recursive: true });
  const contents = noise(4 << 20, 3);
  await using disk = await loopDevice(uri, scratch);
  await succeed("mkfs.ext4", "-q", "-F", disk.device);
  await mounted(disk.device, mountPoint, async () => {
    const writing = writeFiles(mountPoint, contents);
    await during();
    await writing;
  });
  await succeed("e2fsck", "-f", "-n", disk.device);
  await mounted(disk.device, mountPoint, async () => {
    for (const name of names) {
      if (!(await readFile(path.join(mountPoint, name))).equals(contents)) throw new Error(`${name} is not what was written`);
    }
  });
}

const names = ["one", "two", "three"];

async function writeFiles(directory: string, contents: Uint8Array): Promise<void> {
  for (const name of names) await writeFile(path.join(directory, name), contents, { flush: true });
}

async function mounted(device: string, mountPoint: string, work: () => Promise<void>): Promise<void> {
  await succeed("mount", device, mountPoint);
  try {
    await work();
  } finally {
    await succeed("umount", mountPoint);
  }
}

/** nbdfuse shows the disk as a file, the loop device shows the file as a disk. Disposing takes both away. */
async function loopDevice(uri: string, scratch: string): Promise<AsyncDisposable & { readonly device: string }> {
  const folder = path.join(scratch, "fuse");
  await mkdir(folder, { recursive: true });
  const nbdfuse = spawn("nbdfuse", [folder, uri], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  nbdfuse.stderr.setEncoding("utf8").on("data", (text: string) => { said += text; });
  const file = path.join(folder, "nbd");
  try {
    await appears(file, nbdfuse, () => said);
    // libnbd refuses requests that are no whole blocks, and a loop device makes them unless it knows.
    const { block_size_minimum: blockBytes = 512 } = (await nbdInfo(uri)).export;
    const device = (await succeed("losetup", "--find", "--show", "--sector-size", String(blockBytes), file)).trim();
    return {
      device,
      [Symbol.asyncDispose]: async () => {
        await succeed("losetup", "--detach", device);
        await unmount(folder, nbdfuse);
      },
    };
  } catch (error) {
    await unmount(folder, nbdfuse);
    throw error;
  }
}

async function appears(file: string, nbdfuse: ChildProcess, said: () => string): Promise<void> {
  for (let waitedMs = 0; waitedMs < mountMs; waitedMs += pollMs) {
    if (await stat(file).then(() => true, () => false)) return;
    if (nbdfuse.exitCode !== null) throw new Error(`nbdfuse ended with ${nbdfuse.exitCode}: ${said()}`);
    await new Promise((resolve) => { setTimeout(resolve, pollMs); });
  }
  throw new Error(`nbdfuse did not mount within ${mountMs} ms: ${said()}`);
}

/** The loop device lets go of its file a moment after it was detached. */
async function unmount(folder: string, nbdfuse: ChildProcess): Promise<void> {
  const gone = nbdfuse.exitCode === null ? once(nbdfuse, "exit") : undefined;
  for (let waitedMs = 0; waitedMs < mountMs && nbdfuse.exitCode === null; waitedMs += pollMs) {
    if ((await run("umount", [folder])).status === 0) break;
    await new Promise((resolve) => { setTimeout(resolve, pollMs); });
  }
  const timer = setTimeout(() => nbdfuse.kill("SIGKILL"), mountMs);
  await gone;
  clearTimeout(timer);
}
