/** The NBD export on a volume in memory, by the programs people use: over a Unix socket and TCP, with TLS and without. */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import nbd from "../../runtime/exports/nbd/export.ts";
import { type StartedExport, startExport } from "../fixtures/export-context.ts";
import { MemoryVolume, type MemoryVolumeOptions } from "../fixtures/memory-volume.ts";
import { requireClient } from "./client.ts";
import { checkFio, checkMap, checkNbdcopy, checkQemuImg, checkQemuIo, type NbdDisk, nbdInfo, nbdProgramMissing } from "./nbd-checks.ts";
import { type Certificates, makeCertificates } from "./nbd-certificates.ts";
import { checkFileSystem, requireFileSystem } from "./nbd-file-system.ts";
import { run, succeed } from "./nbd-run.ts";

let scratch = "";
beforeEach(async () => { scratch = await mkdtemp(path.join(os.tmpdir(), "airlock-nbd-")); });
afterEach(() => rm(scratch, { recursive: true }));

const sizeBytes = 24 << 20;

interface Lab extends StartedExport {
  readonly volume: MemoryVolume;
  readonly disk: NbdDisk;
}

async function start(options: Record<string, unknown> = {}, volume: MemoryVolumeOptions = {}): Promise<Lab> {
  const memory = new MemoryVolume({ sizeBytes, ...volume });
  const started = await startExport(nbd, { directory: scratch, options, open: () => Promise.resolve(memory) });
  return { ...started, volume: memory, disk: { uri: started.running.address, scratch } };
}

test("nbdinfo is told what the disk is, by its name and by none, on a private socket; nothing is left", async (context) => {
  requireClient(context, nbdProgramMissing("nbdinfo"));
  const started = await start({ export: "disk one/ä", description: "the first" }, { blockBytes: 4096 });
  const { uri } = started.disk;
  expect(uri).toBe(`nbd+unix:///disk%20one%2F%C3%A4?socket=${scratch}/console.sock`);
  expect((await stat(path.join(scratch, "console.sock"))).mode & 0o777).toBe(0o600);
  const told = await nbdInfo(uri);
  expect(told).toMatchObject({
    tls: false,
    export: {
      "export-name": "disk one/ä", "export-size": sizeBytes, description: "the first", contexts: ["base:allocation"],
      is_read_only: false, can_multi_conn: true, can_trim: true, can_zero: true, can_flush: true, can_fua: true, can_df: true,
      block_size_minimum: 4096, block_size_preferred: 4096, block_size_maximum: 32 << 20,
    },
  });
  expect((await nbdInfo(uri, "--list")).export).toMatchObject({ "export-name": "disk one/ä", description: "the first" });
  expect((await nbdInfo(`nbd+unix:///?socket=${scratch}/console.sock`)).export["export-size"]).toBe(sizeBytes);
  expect((await run("nbdinfo", [`nbd+unix:///other?socket=${scratch}/console.sock`])).status).not.toBe(0);
  await started.running.close();
  await started.running.close();
  expect(await readdir(scratch)).toEqual([]);
  expect([started.volume.closed, await started.running.ended]).toEqual([true, undefined]);
});

describe.each([
  { over: "a Unix socket", options: {}, blockBytes: 512 },
  { over: "TCP", options: { port: 0 }, blockBytes: 4096 },
])("over $over, blocks of $blockBytes bytes", ({ options, blockBytes }) => {
  test("nbdcopy both ways", async (context) => {
    requireClient(context, nbdProgramMissing("nbdcopy", "nbdinfo"));
    await using it = await start(options, { blockBytes });
    await expect(checkNbdcopy(it.disk)).resolves.toBeUndefined();
    await expect(checkMap(it.disk)).resolves.toBeUndefined();
  });

  test("qemu-img convert and compare", async (context) => {
    requireClient(context, nbdProgramMissing("qemu-img", "nbdinfo"));
    await using it = await start(options, { blockBytes });
    await expect(checkQemuImg(it.disk)).resolves.toBeUndefined();
    expect(it.volume.changes.some(({ what }) => what === "writeZeroes")).toBe(true);
  });

  test("qemu-io: patterns, zeroes, discard, FUA, parts of blocks", async (context) => {
    requireClient(context, nbdProgramMissing("qemu-io"));
    await using it = await start(options, { blockBytes });
    await expect(checkQemuIo(it.disk)).resolves.toBeUndefined();
    expect(it.volume.changes).toContainEqual({ what: "discard", offset: 256 << 10, sizeBytes: 128 << 10, fua: false });
    expect(it.volume.changes.some(({ what, fua }) => what === "write" && fua)).toBe(true);
    expect(it.volume.changes.some(({ what }) => what === "flush")).toBe(true);
  });

  test("fio with verify, four jobs at once", async (context) => {
    requireClient(context, nbdProgramMissing("fio"));
    await using it = await start(options, { blockBytes });
    await expect(checkFio(it.disk, { sizeBytes: 16 << 20, jobs: 4 })).resolves.toBeUndefined();
  });

  test("an ext4 file system", async (context) => {
    await requireFileSystem(context);
    await using it = await start(options, { blockBytes });
    await expect(checkFileSystem(it.disk)).resolves.toBeUndefined();
  });
});

test("a slow disk serves deep queues", async (context) => {
  requireClient(context, nbdProgramMissing("fio"));
  await using it = await start({}, { latencyMs: 2 });
  await expect(checkFio(it.disk, { sizeBytes: 8 << 20, depth: 64, blockSizes: "4k-4k" })).resolves.toBeUndefined();
});

test("read only, by the option and by the device", async (context) => {
  requireClient(context, nbdProgramMissing("nbdinfo", "nbdcopy", "qemu-io"));
  for (const [options, volume] of [[{ readOnly: true }, {}], [{}, { readOnly: true }]] as const) {
    await using it = await start(options, volume);
    expect((await nbdInfo(it.disk.uri)).export).toMatchObject({ is_read_only: true, can_trim: false, can_zero: false });
    await succeed("nbdcopy", it.disk.uri, "null:");
    expect((await run("qemu-io", ["-f", "raw", "-c", "write 0 4k", it.disk.uri])).stderr).toMatch(/[Rr]ead.only|not permitted|Permission denied/);
    expect(it.volume.changes.filter(({ what }) => what !== "flush")).toEqual([]);
  }
});

test("a device that can neither zero nor discard", async (context) => {
  requireClient(context, nbdProgramMissing("nbdinfo", "qemu-img"));
  await using it = await start({}, { writeZeroes: false, discard: false });
  expect((await nbdInfo(it.disk.uri)).export).toMatchObject({ can_trim: false, can_zero: false });
  await expect(checkQemuImg(it.disk)).resolves.toBeUndefined();
});

describe("TLS", () => {
  let keys: Certificates;
  beforeEach(async (context) => {
    if (nbdProgramMissing("openssl") === undefined) keys = await makeCertificates(scratch);
    else requireClient(context, nbdProgramMissing("openssl"));
  });

  /** libnbd's parameter for a folder of certificates. */
  const withKeys = (uri: string, folder: string): string => `${uri}${uri.includes("?") ? "&" : "?"}tls-certificates=${folder}`;

  test("clients with and without certificates of their own; plain text is refused", async (context) => {
    requireClient(context, nbdProgramMissing("nbdinfo", "nbdcopy"));
    await using it = await start({ port: 0, tls: { cert: keys.cert, key: keys.key } });
    const uri = it.disk.uri.replace("127.0.0.1", "localhost");
    expect(uri).toMatch(/^nbds:\/\/localhost:\d+\/console$/);
    expect(await nbdInfo(withKeys(uri, keys.anonymous))).toMatchObject({ tls: true, export: { "export-size": sizeBytes } });
    expect((await nbdInfo(withKeys(uri, keys.client))).tls).toBe(true);
    const plain = await run("nbdinfo", [uri.replace("nbds", "nbd")]);
    expect([plain.status, plain.stderr]).toEqual([1, expect.stringMatching(/TLS|policy|not supported/i)]);
    await expect(checkNbdcopy({ uri: withKeys(uri, keys.anonymous), scratch }, sizeBytes)).resolves.toBeUndefined();
  });

  test("with a CA only its clients get in, also over a Unix socket", async (context) => {
    requireClient(context, nbdProgramMissing("nbdinfo"));
    const { ca, cert, key } = keys;
    for (const options of [{ port: 0 }, {}]) {
      await using it = await start({ ...options, tls: { ca, cert: path.relative(scratch, cert), key } });
      const uri = it.disk.uri.replace("127.0.0.1", "localhost");
      expect((await nbdInfo(withKeys(uri, keys.client))).tls).toBe(true);
      expect((await run("nbdinfo", [withKeys(uri, keys.stranger)])).status).not.toBe(0);
      expect((await run("nbdinfo", [withKeys(uri, keys.anonymous)])).status).not.toBe(0);
      expect((await nbdInfo(withKeys(uri, keys.client))).tls).toBe(true);
      expect(it.log.some((line) => line.startsWith("warn: a client was cut off"))).toBe(true);
    }
  });

  test("qemu-img speaks TLS too", async (context) => {
    requireClient(context, nbdProgramMissing("qemu-img"));
    const { ca, cert, key } = keys;
    await using it = await start({ port: 0, tls: { ca, cert, key } });
    const { port } = new URL(it.disk.uri);
    const info = await succeed("qemu-img", "info", "--object", `tls-creds-x509,id=tls0,endpoint=client,dir=${keys.client}`, "--image-opts",
      `driver=nbd,host=localhost,port=${port},export=console,tls-creds=tls0`);
    expect(info).toContain(`(${sizeBytes} bytes)`);
  });

  test("certificates that cannot be used are said at the start", async () => {
    for (const tls of [{ cert: "missing.pem", key: keys.key }, { cert: keys.key, key: keys.key }, { cert: keys.ca, key: keys.key }]) {
      await expect(start({ tls })).rejects.toMatchObject({ code: "InvalidArgument" });
    }
  });
});
