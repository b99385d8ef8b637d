import path from "node:path";
import { describe, expect, test } from "vitest";
import { bundledToolchain } from "./bundled-toolchain.ts";
import { TestFolder } from "./test-kernel.ts";
import { findToolchain, type Toolchain } from "./toolchain.ts";

const script = (version: string): string => `#!/bin/sh\necho "Debian clang version ${version} (x)"\n`;
const bundled: Toolchain = { name: "bundled", compile: () => Promise.reject(new Error("not here")), link: () => Promise.reject(new Error("not here")) };

async function find(programs: Readonly<Record<string, string>>, fallback?: Toolchain): Promise<string> {
  using folder = new TestFolder();
  for (const [name, text] of Object.entries(programs)) folder.write(name, text, 0o755);
  return (await findToolchain({ path: `${folder.path}${path.delimiter}`, bundled: () => Promise.resolve(fallback) })).name;
}

describe("which compiler", () => {
  test.each([
    [{ "clang-19": script("19.1.7"), "wasm-ld-19": "", "clang-20": script("20.1.0"), "wasm-ld-20": "" }, "clang 19.1.7"],
    [{ "clang-18": script("18.1.0"), "wasm-ld-18": "", "clang-20": script("20.1.0"), "wasm-ld-20": "" }, "clang 20.1.0"],
    [{ clang: script("17.0.6"), "wasm-ld": "" }, "clang 17.0.6"],
    [{ "clang-19": script("19.1.7"), "clang-18": script("18.1.0"), "wasm-ld-18": "" }, "clang 18.1.0"],
  ])("%j", async (programs, name) => {
    expect(await find(programs as Record<string, string>)).toBe(name);
  });

  test.each([
    [{}, "there is no C compiler for WebAssembly; install clang-19 and lld-19 (apt-get install clang-19 lld-19)"],
    [{ clang: script("14.0.6"), "wasm-ld": "" }, "the compiler is too old: "],
    [{ clang: "#!/bin/sh\nexit 1\n" }, "does not say its version"],
    [{ "clang-19": script("19.1.7") }, "no linker: "],
  ])("none in %j", async (programs, text) => {
    await expect(find(programs as Record<string, string>)).rejects.toMatchObject({ code: "Unsupported", message: expect.stringContaining(text) as string });
    await expect(find(programs as Record<string, string>)).rejects.toThrow("npm install --no-save @yowasp/clang@");
    expect(await find(programs as Record<string, string>, bundled)).toBe("bundled");
  });
});

test("the package in WebAssembly is none when it is not installed", async () => {
  const missing = Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  expect(await bundledToolchain(() => { throw missing; })).toBeUndefined();
  await expect(bundledToolchain(() => { throw new Error("other"); })).rejects.toThrow("other");
});
