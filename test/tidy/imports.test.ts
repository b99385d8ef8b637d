/** The import rules of DESIGN.md over the whole tree, and each rule's ability to fail. */
import { describe, expect, test } from "vitest";
import { codeOnly } from "./code-text.ts";
import { folderRules, importProblems } from "./import-rules.ts";
import { findCycle, importsOf, isBarrel } from "./imports.ts";
import { fakeTree, isTestCode, readTree } from "./source-tree.ts";

const files = readTree();
const manifest = JSON.parse(files.find(({ path }) => path === "package.json")!.text) as { dependencies: Record<string, string> };
const packages = Object.keys(manifest.dependencies);

describe("the tree", () => {
  test("imports only what its folder may", () => {
    expect(importProblems(files, packages)).toEqual([]);
  });

  test("has no import cycles", () => {
    const product = files.filter(({ path }) => path.endsWith(".ts") && !isTestCode(path));
    expect(findCycle(product.flatMap(importsOf))).toBeUndefined();
  });

  test("has a rule for each folder of runtime/, and no rule for a folder that is gone", () => {
    const folders = new Set(files.filter(({ path }) => /^runtime\/[^/]+\//.test(path)).map(({ path }) => path.split("/")[1]!));
    expect(Object.keys(folderRules).sort()).toEqual([...folders].sort());
  });

  test("is parsed: every relative import means a file that exists", () => {
    const all = new Set(files.map(({ path }) => path));
    const found = files.filter(({ path }) => path.endsWith(".ts")).flatMap(importsOf).filter(({ target }) => target !== undefined);
    expect(found.length).toBeGreaterThan(500);
    expect(found.filter(({ target }) => !all.has(target!) && !target!.startsWith("dist/")).map(({ from, specifier }) => `${from}: ${specifier}`)).toEqual([]);
  });
});

describe("a rule", () => {
  const problem = (path: string, text: string): string[] => importProblems(fakeTree({ [path]: text, "drivers/x/driver.json": "{}" }), ["zod"]);

  test.each([
    ["runtime/api/a.ts", 'import { b } from "../bus/b.ts";\nexport const a = b;', "api imports nothing"],
    ["runtime/api/a.ts", 'import fs from "node:fs";\nexport const a = fs;', "runs inside sandboxes"],
    ["runtime/classes/rtc/contract.ts", 'import { z } from "zod";\nexport const a = z;', "runs inside sandboxes"],
    ["runtime/sandbox/a.ts", 'import type { B } from "../bus/b.ts";\nexport type A = B;', "sandbox imports only api"],
    ["runtime/classes/a.ts", 'export const a = async () => import("../host/b.ts");', "classes imports only api"],
    ["runtime/classes/rtc/a.ts", 'import { b } from "../serial/b.ts";\nexport const a = b;', "alternatives"],
    ["runtime/platform/qemu/a.ts", 'import { b } from "../../models/b.ts";\nexport const a = b;', "only platform/sim"],
    ["runtime/cli/a.ts", 'import { b } from "../../test/fixtures/b.ts";\nexport const a = b;', "never imports test code"],
    ["runtime/cli/a.ts", 'import { b } from "../bus/b.test.ts";\nexport const a = b;', "never imports test code"],
    ["runtime/cli/a.ts", 'import { b } from "../bus/test-b.ts";\nexport const a = b;', "never imports test code"],
    ["runtime/cli/a.ts", 'import { b } from "vitest";\nexport const a = b;', "not in the dependencies"],
    ["runtime/cli/a.ts", 'import { b } from "../bus/b";\nexport const a = b;', "carry the extension"],
    ["runtime/cli/a.ts", 'import { b } from "../../elsewhere/b.ts";\nexport const a = b;', "leaves runtime/"],
    ["runtime/cli/a.ts", 'import { b } from "../../drivers/x/b.ts";\nexport const a = b;', "never imported"],
    ["runtime/elsewhere/a.ts", 'import { b } from "../api/b.ts";\nexport const a = b;', "has no row"],
    ["runtime/cli/a.ts", 'export { b } from "../bus/b.ts";\nexport { c } from "../bus/c.ts";', "only passes on"],
    ["runtime/host/a.ts", 'import { b } from "../../shims/tools/b.ts";\nexport const a = b;', "leaves runtime/"],
    ["shims/tools/a.ts", 'import { b } from "../../runtime/host/b.ts";\nexport const a = b;', "shims/tools imports only api, machine"],
    ["shims/tools/a.ts", 'import { b } from "vitest";\nexport const a = b;', "not in the dependencies"],
    ["shims/tools/a.ts", 'import { b } from "./b";\nexport const a = b;', "carry the extension"],
    ["drivers/x/a.ts", 'import { b } from "../y/b.ts";\nexport const a = b;', "drivers import"],
    ["drivers/x/a.ts", 'import { b } from "../../runtime/api/driver.ts";\nexport const a = b;', "drivers import"],
    ["drivers/x/a.ts", 'import "node:fs";\nexport const a = 1;', "drivers import"],
  ])("refuses in %s: %s", (path, text, expected) => {
    expect(problem(path, text)).toEqual([expect.stringContaining(expected)]);
  });

  test.each([
    ["runtime/cli/a.ts", 'import { b } from "../bus/b.ts";\nimport { z } from "zod";\nimport "node:fs";\nexport const a = [b, z];'],
    ["runtime/platform/sim/a.ts", 'import { b } from "../../models/b.ts";\nexport const a = b;'],
    ["runtime/cli/a.ts", 'import { b } from "../../shims/tools/b.ts";\nexport const a = b;'],
    ["shims/tools/a.ts", 'import { b } from "../../runtime/machine/b.ts";\nimport { c } from "./c.ts";\nimport { z } from "zod";\nexport const a = [b, c, z];'],
    ["runtime/bus/a.test.ts", 'import { b } from "../../test/fixtures/b.ts";\nimport "vitest";'],
    ["drivers/x/src/a.ts", 'import { b } from "airlock/driver/rtc";\nimport { c } from "../b.ts";\nexport const a = [b, c];'],
    ["runtime/api/a.ts", '// import { b } from "../bus/b.ts";\nexport const a = `import { b } from "../bus/b.ts"`;'],
  ])("allows in %s: %s", (path, text) => {
    expect(problem(path, text)).toEqual([]);
  });

  test("sees a cycle through three files, and none in a diamond", () => {
    const imports = (files: Record<string, string>) => fakeTree(files).flatMap(importsOf);
    expect(findCycle(imports({ "r/a.ts": 'import "./b.ts";', "r/b.ts": 'import type { C } from "./s/c.ts";', "r/s/c.ts": 'import "../a.ts";' })))
      .toEqual(["r/a.ts", "r/b.ts", "r/s/c.ts", "r/a.ts"]);
    expect(findCycle(imports({ "a.ts": 'import "./b.ts"; import "./c.ts";', "b.ts": 'import "./d.ts";', "c.ts": 'import "./d.ts";' }))).toBeUndefined();
  });

  test("knows a barrel from a file that also defines something", () => {
    const barrel = (text: string): boolean => isBarrel({ path: "a.ts", text });
    expect(barrel('/** x */\nexport * from "./b.ts";\nexport const c = 1;')).toBe(true);
    expect(barrel('import { b } from "./b.ts";\nexport { b };')).toBe(true);
    expect(barrel('export { b } from "./b.ts";\nexport const c = 1;')).toBe(false);
    expect(barrel('import "./b.ts";')).toBe(false);
  });
});

describe("the reader of code", () => {
  test.each([
    ["a // b\nc", "a     \nc"],
    ["a /* b */ c", "a         c"],
    ['f("a\\"b", 1)', 'f("    ", 1)'],
    ["f('a', `b`)", "f(' ', ` `)"],
    ["`a${b + `c` + { d: 1 }}e` + f", "` ${b + ` ` + { d: 1 }} ` + f"],
    ["x = /[/\"]/.test(y)", "x = /    /.test(y)"],
    ["x = a / b / c; // d", "x = a / b / c;     "],
  ])("blanks %s", (text, expected) => {
    expect(codeOnly(text)).toBe(expected);
  });
});
