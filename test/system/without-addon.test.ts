/** Disks and network cards without the native addon: their drivers fail in every way, and every failure is recovered all the same. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import { qemuAvailable } from "../conformance/qemu-available.ts";
import { airlock, scratch } from "../fixtures/cli.ts";

const examples = path.join(import.meta.dirname, "../../runtime/machine/examples");
const withoutAddon = { AIRLOCK_ADDON: "none" };

/** What is looked at of the report of `airlock trial --json`. */
interface TrialReport {
  readonly ok: boolean;
  readonly rows: readonly { readonly fault: string; readonly recoveryMs: number; readonly clientErrors: number; readonly bytesCorrupted: number }[];
}

/** The rows of a trial that was passed. */
async function trial(file: string): Promise<TrialReport["rows"]> {
  const result = await airlock(["trial", path.join(examples, file), "--json"], { env: withoutAddon });
  expect(result).toMatchObject({ code: 0 });
  const { ok, rows } = result.json() as TrialReport;
  expect(ok).toBe(true);
  for (const row of rows) expect(row).toMatchObject({ clientErrors: 0, bytesCorrupted: 0, recoveryMs: expect.any(Number) as number });
  return rows;
}

const someFaults = ["hang-builtin", "oom", "silence", "violation"].map((fault): unknown => expect.objectContaining({ fault }));

describe.each(["disk.yaml", "nic.yaml"])("%s", (file) => {
  test("every failure is recovered, and no client call fails", async () => {
    expect(await trial(file)).toEqual(expect.arrayContaining(someFaults));
  });
});

describe.skipIf(!(await qemuAvailable()))("disk-qemu.yaml", () => {
  test("every failure is recovered, and no client call fails", async () => {
    expect(await trial("disk-qemu.yaml")).toEqual(expect.arrayContaining(someFaults));
  });
});

test("an export that needs the addon says so, and the machine comes down", async () => {
  await using state = await scratch();
  const { code, stdout, stderr } = await airlock(["run", path.join(examples, "nic.yaml"), "--state", state.path], { env: withoutAddon });
  expect({ code, stderr }).toEqual({ code: 4, stderr: 'airlock: export "tap" of type tap: the native addon is not used, because AIRLOCK_ADDON is "none"; unset it\n' });
  expect(stdout).not.toContain('"ready"');
});
