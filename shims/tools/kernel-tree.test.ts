import { afterAll, describe, expect, test } from "vitest";
import { KernelTree, readAutoconf } from "./kernel-tree.ts";
import { TestFolder } from "./test-kernel.ts";

const files = {
  "drivers/net/Makefile": "obj-$(CONFIG_CARD) += card.o helper.o\nobj-$(CONFIG_CORE) += core.o\nobj-$(CONFIG_OTHER) += other/\nsubdir-ccflags-y += -DALL_NET\n",
  "drivers/net/Kconfig": "config CARD\n\ttristate \"Card\"\n\tdepends on CORE && FAR && (OTHER || OTHER=n)\n\tselect LIB\n\tselect BUILT_IN\n\tselect SETTING\nconfig LIB\n\ttristate\nconfig SETTING\n\tbool\nconfig CORE\n\ttristate\nconfig FAR\n\ttristate\nconfig OTHER\n\ttristate\n",
  "drivers/net/other/Makefile": "obj-$(CONFIG_OTHER) += other.o\nother-y := main.o sub/part.o\nother-$(CONFIG_FEATURE) += feature.o\nccflags-y += -DX=1\nCFLAGS_main.o := -DMAIN\n",
  "drivers/lib/Makefile": "obj-$(CONFIG_LIB) += lib.o\nobj-$(CONFIG_FAR) += far.o\nobj-$(CONFIG_BUILT_IN) += built-in.o\n",
  "drivers/lib/Kconfig": "config BUILT_IN\n\ttristate\n",
  "drivers/far/Kconfig": "config WIDE\n\ttristate\n\tdepends on NEAR && 64BIT\nconfig NARROW\n\ttristate\n\tdepends on !64BIT && (BIG_IRON || COMPILE_TEST) && HAS_BUS\n"
    + "config TWICE\n\ttristate\n\tdepends on BIG_IRON\nconfig TWICE\n\ttristate\n\tdepends on NEAR\nconfig ABOVE\n\ttristate\n\tdepends on WIDE && NEAR\nconfig LOOP\n\ttristate\n\tdepends on LOOP\n"
    + "config FORCED\n\ttristate\n\tdepends on 64BIT\nconfig FORCES\n\ttristate\n\tdepends on FORCED\n\tselect FORCED\nconfig COMPILE_TEST\n\tbool\n",
  "drivers/net/parts/Kconfig": "config WHOLE\n\ttristate\nconfig PART\n\tbool\nconfig ASKED\n\tbool \"Ask\"\nconfig MAYBE\n\tbool\n"
    + "config USER\n\ttristate\n\tdepends on WHOLE\n\tselect PART\n\tselect ASKED\n\tselect MAYBE if OTHER\n\tselect FAR_PART\n",
  "drivers/net/parts/Makefile": "obj-$(CONFIG_WHOLE) += whole.o\nwhole-y := main.o\nwhole-$(CONFIG_PART) += part.o\nwhole-$(CONFIG_ASKED) += asked.o\nwhole-$(CONFIG_MAYBE) += maybe.o\nobj-$(CONFIG_USER) += user.o\n",
  "drivers/lib/Kconfig.far": "config FAR_PART\n\tbool\n",
  "arch/big/Kconfig": "config 64BIT\n\tdef_bool y\nconfig HAS_BUS\n\tdef_bool y\nconfig BUILT_IN\n\tbool\nconfig COMPILE_TEST\n\tbool\n", "arch/big/iron/Kconfig": "config BIG_IRON\n\tbool\n",
  "arch/Kconfig": "config NEAR\n\tbool\n",
  "tools/Makefile": "obj-$(CONFIG_TOOL) += tool.o\n",
};

describe("a tree", () => {
  const kernel = TestFolder.kernel(files);
  afterAll(() => { kernel[Symbol.dispose](); });
  const tree = new KernelTree(kernel.path, new Map([["BUILT_IN", "y"], ["FEATURE", "y"]]));
  const [card] = tree.modulesFor("CARD");
  const [other] = tree.modulesFor("OTHER");

  test("modules of a symbol, with the flags of their folder and of those above", () => {
    expect(tree.modulesFor("CARD").map(({ name }) => name)).toEqual(["card", "helper"]);
    expect(other!.jobs.map(({ file }) => file.slice(kernel.path.length))).toEqual(["/drivers/net/other/main.c", "/drivers/net/other/sub/part.c", "/drivers/net/other/feature.c"]);
    const flags = other!.jobs[0]!.flags;
    for (const flag of ["-DMODULE", "-DCONFIG_OTHER_MODULE=1", '-DKBUILD_MODNAME="other"', '-DKBUILD_MODFILE="drivers/net/other/other"', '-DKBUILD_BASENAME="main"', "-DALL_NET", "-DX=1", "-DMAIN"]) {
      expect(flags).toContain(flag);
    }
    expect(other!.jobs[1]!.flags).not.toContain("-DMAIN");
    expect(tree.modulesFor("TOOL")).toEqual([]);
  });

  test("what a module may be built upon: its symbol's other modules, what it selects as a module, and what it depends on nearby", () => {
    expect(tree.companions(card!).map(({ name }) => name)).toEqual(["helper", "lib", "core"]);
    expect(card!.jobs[0]!.flags).toContain("-DCONFIG_LIB_MODULE=1");
  });

  test("settings that a driver selects and nobody is asked about choose parts of what it is built upon", () => {
    const [user] = tree.modulesFor("USER");
    const [whole] = tree.companions(user!);
    expect(whole!.jobs.map(({ file }) => file.slice(kernel.path.length))).toEqual(["/drivers/net/parts/main.c", "/drivers/net/parts/part.c"]);
    for (const { flags } of [...user!.jobs, ...whole!.jobs]) expect(flags.filter((flag) => flag.endsWith("PART=1"))).toEqual(["-DCONFIG_PART=1"]);
    expect(tree.modulesFor("WHOLE")[0]!.jobs).toHaveLength(1);
  });

  test("the module of a file, found in Makefiles above its folder too", () => {
    expect(tree.modulesWith(`${kernel.path}/drivers/net/other/sub/part.c`).map(({ name }) => name)).toEqual(["other"]);
    expect(tree.modulesWith(`${kernel.path}/drivers/net/none.c`)).toEqual([]);
  });

  test("what can be built for other machines only", () => {
    const limits = (...symbols: readonly string[]): (string | undefined)[] => symbols.map((symbol) => tree.otherMachineOnly(symbol));
    expect(limits("WIDE", "NARROW", "TWICE", "CARD", "NOTHING")).toEqual(["64BIT", "HAS_BUS", undefined, undefined, undefined]);
    expect(limits("ABOVE", "LOOP", "FORCED", "FORCES")).toEqual(["64BIT", undefined, "64BIT", undefined]);
    const same = new KernelTree(kernel.path, new Map([["HAS_BUS", "y"]]));
    expect(same.otherMachineOnly("NARROW")).toBeUndefined();
  });

  test("symbols", () => {
    expect(tree.knows("SETTING")).toBe(true);
    expect(tree.knows("NOTHING")).toBe(false);
    expect(tree.moduleSymbols().toSorted()).toEqual(["BUILT_IN", "CARD", "CORE", "FAR", "LIB", "OTHER", "USER", "WHOLE"]);
    expect(tree.foldersBelow(`${kernel.path}/drivers`).map((one) => one.slice(kernel.path.length))).toEqual(["/drivers/lib", "/drivers/net", "/drivers/net/other", "/drivers/net/parts"]);
  });
});

test("the configuration is read from its header", () => {
  expect([...readAutoconf("#define CONFIG_A 1\n#define CONFIG_HZ 1000\n/* #define CONFIG_B 1 */\n#define OTHER 1\n")]).toEqual([["A", "y"], ["HZ", "1000"]]);
});
