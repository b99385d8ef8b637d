import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { wasm } from "../../runtime/sandbox/web-assembly.ts";
import { bundledToolchain } from "./bundled-toolchain.ts";
import { TestFolder } from "./test-kernel.ts";
import type { Toolchain } from "./toolchain.ts";
import { importedFunctions } from "./wasm-reader.ts";

let found: Toolchain | undefined;

/** Prints why not: the package is not installed by itself. */
async function bundledAvailable(): Promise<boolean> {
  const { resolve } = createRequire(import.meta.url);
  // Vitest has no import.meta.resolve.
  found = await bundledToolchain((name) => pathToFileURL(resolvedFrom(resolve, name)).href);
  if (found === undefined) process.stderr.write("skipping the tests of the compiler in WebAssembly: it is not installed (npm install --no-save @yowasp/clang)\n");
  return found !== undefined;
}

function resolvedFrom(resolve: NodeJS.RequireResolve, name: string): string {
  try {
    return resolve(name);
  } catch (cause) {
    throw Object.assign(new Error(name, { cause }), { code: "ERR_MODULE_NOT_FOUND" });
  }
}

describe.skipIf(!(await bundledAvailable()))("the compiler in WebAssembly", () => {
  test("compiles, assembles and links files of any folder, and says what it read", async () => {
    using folder = new TestFolder({
      "src/a.c": '#include <one.h>\n#include "../other/two.h"\nint outside(int);\nint entry(int x) { return outside(x) + ONE + TWO; }\n',
      "include/one.h": "#define ONE 1\n", "other/two.h": "#define TWO 2\n",
      "stub.s": "\t.section .text.outside,\"\",@\n\t.globl outside\n\t.type outside,@function\noutside:\n\t.functype outside (i32) -> (i32)\n\tlocal.get 0\n\tend_function\n",
    });
    const at = (name: string): string => path.join(folder.path, name);
    const target = "--target=wasm32-unknown-unknown";
    const compiled = await found!.compile([target, `-I${at("include")}`, `-ffile-prefix-map=${folder.path}/=`, "-c", at("src/a.c"), "-o", at("a.o"), "-MD", "-MF", at("a.d")]);
    expect(compiled).toMatchObject({ ok: true });
    expect(readFileSync(at("a.d"), "utf8").replaceAll(/\\\n|\s+/g, " ")).toMatch(new RegExp(`^${at("a.o")}: +${at("src/a.c")} +${at("include/one.h")} +.*two\\.h *$`));
    expect(await found!.compile([target, "-c", at("stub.s"), "-o", at("stub.o")])).toMatchObject({ ok: true });
    folder.write("args", [`--no-entry`, "--export=entry", "--allow-undefined", at("a.o"), "-o", at("first.wasm")].map((arg) => `"${arg}"\n`).join(""));
    expect(await found!.link([`@${at("args")}`])).toMatchObject({ ok: true });
    expect(importedFunctions(readFileSync(at("first.wasm"))).map(({ name }) => name)).toEqual(["outside"]);
    expect(await found!.link(["--no-entry", "--export=entry", at("a.o"), at("stub.o"), "-o", at("whole.wasm")])).toMatchObject({ ok: true });
    const { entry } = new wasm.Instance(new wasm.Module(readFileSync(at("whole.wasm"))), {}).exports as { entry(x: number): number };
    expect(entry(4)).toBe(7);
  });

  test("errors name files as they are", async () => {
    using folder = new TestFolder({ "a.c": "int x = y;\n" });
    const { ok, diagnostics } = await found!.compile(["--target=wasm32-unknown-unknown", "-c", path.join(folder.path, "a.c"), "-o", path.join(folder.path, "a.o")]);
    expect(ok).toBe(false);
    expect(diagnostics).toContain(`${folder.path}/a.c:1:9: error: use of undeclared identifier 'y'`);
    expect((await found!.link(["--no-entry", "/nowhere/a.o", "-o", path.join(folder.path, "a.wasm")])).ok).toBe(false);
  });
});
