import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findQemu, installAdvice } from "./find-qemu.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "airlock-find-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A program in the place of QEMU. */
async function program(name: string, script: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

const greeting = `echo '{"QMP": {"version": {"qemu": {"micro": 3, "minor": 2, "major": 8}, "package": ""}, "capabilities": []}}'`;

test("takes the one that is named, when it can do qtest", async () => {
  const named = await program("good", `cat >/dev/null; ${greeting}`);
  expect(await findQemu({ AIRLOCK_QEMU: named, PATH: "" })).toEqual({ path: named, version: "8.2.3" });
});

const refusals: readonly [string, string, string][] = [
  ["says it has no qtest", `echo "invalid accelerator qtest" >&2; exit 1`, "invalid accelerator qtest"],
  ["is no QEMU", "exit 0", "exit code 0"],
  ["is killed", "kill -9 $$", "SIGKILL"],
];
test.each(refusals)("refuses one that %s, in one line that says why and what to install", async (_name, script, reason) => {
  const named = await program("bad", script);
  const refusal = await findQemu({ AIRLOCK_QEMU: named }).then(() => undefined, (error: Error) => error);
  expect(refusal).toMatchObject({ code: "PlatformUnavailable" });
  expect(refusal!.message).toContain(reason);
  expect(refusal!.message).toContain(named);
  expect(refusal!.message).toContain(installAdvice);
  expect(refusal!.message).not.toContain("\n");
});

test("a named one that is missing is an error, also where another could be found", async () => {
  const missing = path.join(folder, "missing");
  await expect(findQemu({ AIRLOCK_QEMU: missing })).rejects.toMatchObject({ code: "PlatformUnavailable", message: expect.stringContaining(missing) as string });
});
