import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { type Config, parseKbuild } from "./makefile.ts";

const place = { folder: "/k/drivers/net", tree: "/k" };
const config = (set: Readonly<Record<string, string>>): Config => (symbol) => set[symbol] ?? "";
const nothing = config({});

describe("objects", () => {
  test("entries by symbol; without one for obj-y and obj-m; folders with their slash", () => {
    const { entries } = parseKbuild("obj-$(CONFIG_A) += a.o b.o\nobj-y += c/\nobj-m := d.o\nobj-${CONFIG_E} += \\\n\te.o \\\n\tf.o\n", nothing, place);
    expect(entries).toEqual([
      { target: "a.o", symbol: "A" }, { target: "b.o", symbol: "A" }, { target: "c/", symbol: undefined }, { target: "d.o", symbol: undefined },
      { target: "e.o", symbol: "E" }, { target: "f.o", symbol: "E" },
    ]);
  });

  test("parts of a module: -y, -objs, and those of symbols that are set", () => {
    const kbuild = parseKbuild("card-y := main.o hw.o\ncard-objs += old.o\ncard-$(CONFIG_DEBUG) += debug.o\ncard-$(CONFIG_OFF) += off.o\nobj-m += card.o alone.o\n", nothing, place);
    expect(kbuild.partsOf("card.o", config({ DEBUG: "y" }))).toEqual(["main.o", "hw.o", "old.o", "debug.o"]);
    expect(kbuild.partsOf("card.o", nothing)).toEqual(["main.o", "hw.o", "old.o"]);
    expect(kbuild.partsOf("alone.o", nothing)).toBeUndefined();
  });

  test("lists are filled in: variables, suffixes, addprefix, patsubst", () => {
    const kbuild = parseKbuild("names := a b\ncard-y := $(names:%=%.o) $(addprefix sub/,c.o d.o) $(patsubst %.c,%.o,e.c f.c) $(addsuffix .o,g)\n", nothing, place);
    expect(kbuild.partsOf("card.o", nothing)).toEqual(["a.o", "b.o", "sub/c.o", "sub/d.o", "e.o", "f.o", "g.o"]);
  });
});

describe("conditionals", () => {
  test.each([
    ["ifeq ($(CONFIG_A),y)\nX\nelse\nY\nendif", { A: "y" }, "X"],
    ["ifeq ($(CONFIG_A),y)\nX\nelse\nY\nendif", {}, "Y"],
    ["ifneq ($(CONFIG_A),)\nX\nelse ifdef CONFIG_B\nY\nelse\nZ\nendif", { B: "m" }, "Y"],
    ["ifdef CONFIG_A\nifdef CONFIG_B\nX\nendif\nelse\nY\nendif", { A: "y" }, undefined],
    ["ifndef CONFIG_A\nX\nendif", {}, "X"],
    ['ifeq "$(CONFIG_A)" "y"\nX\nendif', { A: "y" }, "X"],
  ])("%j with %j", (text, set, chosen) => {
    const lines = text.replace(/^[XYZ]$/gm, (name) => `obj-m += ${name}.o`);
    expect(parseKbuild(lines, config(set as Record<string, string>), place).entries.map(({ target }) => target)).toEqual(chosen === undefined ? [] : [`${chosen}.o`]);
  });
});

describe("flags", () => {
  test("of a folder, of one object, of everything below; include folders as the compiler finds them", () => {
    const kbuild = parseKbuild(
      "ccflags-y += -I$(srctree)/drivers/x -DA=1 -Wall -I $(src)/inc\nccflags-$(CONFIG_D) += -DDEBUG\nCFLAGS_a.o := -I$(srctree)/$(src)\nsubdir-ccflags-y += -DBELOW\nEXTRA_CFLAGS += -Idrivers/y\n",
      nothing, place,
    );
    expect(kbuild.flags(nothing)).toEqual(["-I/k/drivers/x", "-DA=1", "-I/k/drivers/net/inc", "-I/k/drivers/y"]);
    expect(kbuild.flags(config({ D: "y" }))).toContain("-DDEBUG");
    expect(kbuild.flagsOf("a.o")).toEqual(["-I/k/drivers/net"]);
    expect(kbuild.flagsBelow(nothing)).toEqual(["-DBELOW"]);
  });
});

test("flags that would load programs into the compiler, or write elsewhere, are left out", () => {
  const flags = "-fplugin=/x.so -fpass-plugin=y -Xclang -load -o /etc/x -B/tools -fno-builtin --config=x @file -Wp,-MD,/x -specs=z -fwrapv";
  expect(parseKbuild(`ccflags-y := ${flags}\n`, nothing, place).flags(nothing)).toEqual(["-fno-builtin", "-fwrapv"]);
});

test("whatever a file says, it is read to its end", () => {
  const line = fc.oneof(fc.string(), fc.constantFrom("ifeq ($(A),", "endif", "else", "obj-$(CONFIG_A) += $(a)", "a := $(a)", "a += $(b) \\", "b = $(a) $(a)", "c-y := $(c-y:.o=.c)"));
  fc.assert(fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
    const kbuild = parseKbuild(lines.join("\n"), config({ A: "y" }), place);
    for (const { target } of kbuild.entries) expect(kbuild.partsOf(target, nothing) ?? []).not.toContain("");
    expect(kbuild.flags(nothing).filter((flag) => flag.includes("="))).toEqual([]);
  }));
});
