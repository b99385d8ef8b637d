import { expect, test } from "vitest";
import { Environment } from "./environment.ts";
import { TestFolder } from "./test-kernel.ts";

const tables = {
  "arch/flags.txt": "-I{kernel}/include\n", "arch/include/generated/autoconf.h": "#define CONFIG_NET 1\n", "emul/link.txt": "--no-entry\n", "emul/stubs.txt": "gone 0\n",
  "emul/own-part.c": "", "emul/core.txt": "lib/a.c\ndrivers/base/b.c -DB=1\nnet/new/c.c|net/old/c.c -DC\n", "emul/more.txt": "net/x/d.c\n",
};

test("what is compiled: the environment's own files, the core's, and what some kinds of drivers build upon", () => {
  using shims = new TestFolder(tables);
  using kernel = TestFolder.kernel({ "net/old/c.c": "" });
  const environment = new Environment(shims.path);
  const core = environment.coreJobs(kernel.path);
  expect(core.map(({ file }) => file)).toEqual([`${shims.path}/emul/own-part.c`, ...["lib/a.c", "drivers/base/b.c", "net/old/c.c"].map((one) => `${kernel.path}/${one}`)]);
  expect(core[0]!.flags).toContain('-DKBUILD_MODNAME="own_part"');
  expect(core[2]!.flags).toContain("-DB=1");
  expect(core[3]!.flags).toEqual(expect.arrayContaining([`-I${kernel.path}/net/old`, "-DC"]));
  expect(environment.moreJobs(kernel.path).map(({ file }) => file)).toEqual([`${kernel.path}/net/x/d.c`]);
});

test("a file that releases have at different places, where a tree has it; the first place where it is at none", () => {
  using shims = new TestFolder(tables);
  using newer = TestFolder.kernel({ "net/new/c.c": "", "net/old/c.c": "" });
  using neither = TestFolder.kernel({});
  const place = (kernel: TestFolder): string => new Environment(shims.path).coreJobs(kernel.path).at(-1)!.file.slice(kernel.path.length);
  expect([place(newer), place(neither)]).toEqual(["/net/new/c.c", "/net/new/c.c"]);
});

test("what of the kernel's tree it is made from", () => {
  using shims = new TestFolder(tables);
  expect(new Environment(shims.path).kernelPaths).toEqual(["include", "Kbuild", "Makefile", "COPYING", "lib", "drivers/base/b.c", "drivers/base/**.h", "net"]);
});
