import { afterAll, describe, expect, test } from "vitest";
import { findModule, kernelRootOf, partOf } from "./find-module.ts";
import { openKernelSource } from "./kernel-source.ts";
import { KernelTree } from "./kernel-tree.ts";
import { noProgress } from "./progress.ts";
import { TestFolder } from "./test-kernel.ts";

const kernel = TestFolder.kernel({
  "drivers/net/Makefile": "obj-$(CONFIG_FAST_CARD) += fast.o\nobj-$(CONFIG_SLOW_CARD) += slow.o\nobj-$(CONFIG_TWO) += one.o\nobj-$(CONFIG_THREE) += two.o\none-y := a.o shared.o\ntwo-y := b.o shared.o\n",
  "drivers/net/Kconfig": "config NET_SETTING\n\tbool \"x\"\n", "drivers/net/fast.c": "", "drivers/net/shared.c": "", "drivers/net/notes.txt": "",
  "drivers/only/Makefile": "obj-m += only.o\n", "drivers/only/only.c": "",
});
const outside = new TestFolder({ "alone/alone.c": "", "many/a.c": "", "many/b.c": "", "none/readme": "" });
afterAll(() => { kernel[Symbol.dispose](); outside[Symbol.dispose](); });

const tree = new KernelTree(kernel.path, new Map());
const place = { source: await openKernelSource(kernel.path, [], undefined as never, noProgress), tree, progress: noProgress };
const find = (what: string) => findModule(what, place).then(({ candidates }) => candidates.map(({ name }) => name));

describe("what a user names", () => {
  test.each([
    ["CONFIG_FAST_CARD", ["fast"]],
    ["drivers/net/fast.c", ["fast"]],
    [`${kernel.path}/drivers/net/fast.c`, ["fast"]],
    [`${kernel.path}/drivers/only`, ["only"]],
    [`${outside.path}/alone/alone.c`, ["alone"]],
    [`${outside.path}/alone`, ["alone"]],
    [`${outside.path}/many/b.c`, ["b"]],
  ])("%s", async (what, names) => {
    expect(await find(what)).toEqual(names);
  });

  test.each([
    ["CONFIG_FAST_CRAD", "NotFound", "did you mean CONFIG_FAST_CARD?"],
    ["CONFIG_ZZZZZZZZZZZZZZZ", "NotFound", "none is like it"],
    ["CONFIG_NET_SETTING", "NotFound", "it is a setting"],
    ["fast_card", "NotFound", "did you mean CONFIG_FAST_CARD?"],
    ["drivers/net/gone.c", "NotFound", "nor in"],
    [`${kernel.path}/drivers/net`, "InvalidArgument", "has 4 modules: CONFIG_FAST_CARD (fast)"],
    [`${kernel.path}/drivers/net/shared.c`, "InvalidArgument", "is part of 2 modules"],
    [`${kernel.path}/drivers/net/notes.txt`, "InvalidArgument", "is no C file"],
    [`${outside.path}/many`, "InvalidArgument", "2 C files (a.c, b.c) and no Makefile"],
    [`${outside.path}/none`, "InvalidArgument", "has no C file"],
  ])("%s: %s", async (what, code, text) => {
    await expect(find(what)).rejects.toMatchObject({ code, message: expect.stringContaining(text) as string });
  });
});

test("the tree that a file is in, and what is extracted for one", () => {
  expect(kernelRootOf(`${kernel.path}/drivers/net/fast.c`)).toBe(kernel.path);
  expect(kernelRootOf(`${outside.path}/many/a.c`)).toBeUndefined();
  expect([partOf("drivers/net/ethernet/intel/e1000"), partOf("drivers/a.c"), partOf("lib")]).toEqual(["drivers/net", "drivers", "lib"]);
});
