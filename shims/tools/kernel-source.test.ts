import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Cache } from "./cache.ts";
import { allHeaders, openKernelSource } from "./kernel-source.ts";
import type { Progress } from "./progress.ts";
import { noProgress } from "./progress.ts";
import { TestFolder } from "./test-kernel.ts";

const files = {
  "include/linux/a.h": "a", "lib/sort.c": "sort", "drivers/net/Makefile": "net", "drivers/net/Kconfig.debug": "", "drivers/net/card.c": "card", "drivers/net/table.inc_shipped": "1, 2",
  "drivers/base/core.c": "core", "drivers/base/base.h": "b", "drivers/base/power/power.h": "p", "drivers/base/power/power.c": "no",
};

/** As Debian packs it: everything below one folder. */
function archive(kernel: TestFolder, into: TestFolder): string {
  const file = path.join(into.path, "linux.tar.xz");
  execFileSync("tar", ["-cJf", file, "-C", kernel.path, "--transform", "s,^\\.,linux-source-6.1,", "."]);
  return file;
}

describe("an archive", () => {
  test("is taken out part by part, each once", async () => {
    using kernel = TestFolder.kernel(files);
    using work = new TestFolder();
    const cache = new Cache(path.join(work.path, "cache"));
    const steps: string[] = [];
    const progress: Progress = { step: (text) => { steps.push(text); }, count: () => undefined };
    const file = archive(kernel, work);
    const source = await openKernelSource(file, ["include", "Kbuild", "Makefile"], cache, progress);
    const has = (name: string): boolean => existsSync(path.join(source.root, name));
    expect(source).toMatchObject({ version: "6.1.7", title: "linux.tar.xz" });
    expect(["include/linux/a.h", "drivers/net/Makefile", "drivers/net/Kconfig.debug", "drivers/net/card.c", "lib/sort.c"].map(has)).toEqual([true, true, true, false, false]);
    await source.need(["drivers/net", "drivers/base/core.c", `drivers/base/${allHeaders}`, "drivers/gone"], progress);
    expect(["drivers/net/card.c", "drivers/base/core.c", "drivers/base/base.h", "drivers/base/power/power.h", "drivers/base/power/power.c"].map(has)).toEqual([true, true, true, true, false]);
    expect(readFileSync(path.join(source.root, "drivers/net/card.c"), "utf8")).toBe("card");
    expect(readFileSync(path.join(source.root, "drivers/net/table.inc"), "utf8")).toBe("1, 2");
    expect(steps).toHaveLength(2);
    await source.need(["drivers/net/ethernet", "drivers/gone"], progress);
    const again = await openKernelSource(file, ["include", "Kbuild", "Makefile"], cache, progress);
    expect([again.root, steps.length]).toEqual([source.root, 2]);
  });

  test("what is none is refused", async () => {
    using work = new TestFolder({ "a.tar.xz": "no archive" });
    const cache = new Cache(path.join(work.path, "cache"));
    await expect(openKernelSource(path.join(work.path, "a.tar.xz"), [], cache, noProgress)).rejects.toMatchObject({ code: "NotFound", message: expect.stringContaining("cannot be unpacked") as string });
  });
});

describe("a folder", () => {
  const cache = undefined as never;

  test("is taken as it is", async () => {
    using kernel = TestFolder.kernel(files);
    expect(await openKernelSource(kernel.path, ["anything"], cache, noProgress)).toMatchObject({ root: kernel.path, version: "6.1.7" });
  });

  test("that is no kernel's, of another version, or not there", async () => {
    using work = new TestFolder({ "a/b": "" });
    using newer = TestFolder.kernel({ Makefile: "VERSION = 6\nPATCHLEVEL = 12\n" });
    await expect(openKernelSource(work.path, [], cache, noProgress)).rejects.toMatchObject({ code: "NotFound", message: expect.stringContaining("is no kernel source") as string });
    await expect(openKernelSource(newer.path, [], cache, noProgress)).rejects.toMatchObject({ code: "Unsupported", message: expect.stringContaining("is Linux 6.12; the driver environment is for 6.1") as string });
    await expect(openKernelSource("/nowhere/linux", [], cache, noProgress)).rejects.toMatchObject({ code: "NotFound", message: expect.stringContaining("linux-source-6.1") as string });
  });
});
