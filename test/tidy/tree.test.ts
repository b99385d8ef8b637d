/** The shape of the tree, the package and its lock. */
import { describe, expect, test } from "vitest";
import { fakeTree, readTree } from "./source-tree.ts";
import { danglingExports, deadLinks, foldersWithoutReadme, strangersAtTop } from "./tree-rules.ts";

const files = readTree();
const json = (name: string): unknown => JSON.parse(files.find(({ path }) => path === name)!.text);
const manifest = json("package.json") as Parameters<typeof danglingExports>[1];

describe("the tree", () => {
  test("has nothing at the top but what DESIGN.md names and tool configuration", () => {
    expect(strangersAtTop(files)).toEqual([]);
  });

  test("has a README.md in each folder of runtime/, and where else one is due", () => {
    expect(foldersWithoutReadme(files)).toEqual([]);
  });

  test("has sources for what package.json exports", () => {
    expect(danglingExports(files, manifest)).toEqual([]);
  });

  test("has no dead links in its documentation", () => {
    expect(deadLinks(files)).toEqual([]);
  });
});

describe("the packages", () => {
  const lock = json("package-lock.json") as { packages: Record<string, { resolved?: string; integrity?: string; link?: boolean; optionalDependencies?: Record<string, string> }> };

  test("are locked as package.json asks, with a checksum each and no host", () => {
    const { "": top, ...locked } = lock.packages;
    expect(top).toMatchObject({ dependencies: manifest.dependencies, devDependencies: manifest.devDependencies });
    expect(Object.entries(locked).filter(([, { resolved, integrity }]) => resolved !== undefined || integrity === undefined)).toEqual([]);
  });

  // "npm ci" refuses a lock that leaves out the binaries of other systems, and npm leaves them out where it can't get them.
  test("are locked for every system", () => {
    const wanted = Object.values(lock.packages).flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}));
    expect(wanted.filter((name) => !Object.keys(lock.packages).some((path) => path.endsWith(`node_modules/${name}`)))).toEqual([]);
  });
});

describe("a rule can fail", () => {
  test("strangers at the top", () => {
    expect(strangersAtTop(fakeTree({ "README.md": "", "notes.txt": "", "src/a.ts": "", "runtime/api/a.ts": "" }))).toEqual(["notes.txt", "src/"]);
  });

  test("missing README", () => {
    const tree = fakeTree({ "runtime/api/README.md": "# api\n\ntext", "runtime/api/a.ts": "", "runtime/bus/a.ts": "", "runtime/platform/README.md": "", "runtime/platform/sim/peers/a.ts": "" });
    expect(foldersWithoutReadme(tree)).toEqual(["runtime/bus", "runtime/platform", "runtime/platform/sim"]);
  });

  test("dangling exports", () => {
    const tree = fakeTree({ "runtime/api/driver.ts": "", "runtime/classes/rtc/contract.ts": "" });
    const conditions = (source: string) => ({ types: `./${source}.ts`, default: `./dist/${source}.js` });
    const exports = { "./driver": conditions("runtime/api/driver"), "./driver/*": conditions("runtime/classes/*/contract"), "./gone": conditions("runtime/api/gone") };
    expect(danglingExports(tree, { exports, dependencies: {}, devDependencies: {} })).toEqual(["./runtime/api/gone.ts", "./dist/runtime/api/gone.js"]);
  });

  test("dead links", () => {
    expect(deadLinks(fakeTree({ "a/README.md": "[x](b.ts) [y](../c) [z](https://example.org) [w](gone.md#top)", "a/b.ts": "", "c/d.ts": "" }))).toEqual(["a/README.md: gone.md"]);
  });
});
