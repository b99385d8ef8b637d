import { existsSync, mkdirSync, readFileSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Cache, defaultCacheFolder, digestOf } from "./cache.ts";
import { TestFolder } from "./test-kernel.ts";

describe("entries", () => {
  test("appear whole; of two builds the first one's stays", () => {
    using folder = new TestFolder();
    const cache = new Cache(path.join(folder.path, "deep/er"));
    expect(cache.find("objects", "a.o")).toBeUndefined();
    for (const text of ["first", "second"]) {
      const made = cache.temporary("object");
      writeFileSync(made, text);
      cache.keep("objects", "a.o", made);
    }
    expect(readFileSync(cache.find("objects", "a.o")!, "utf8")).toMatch(/first|second/);
    for (const name of ["x", "y"]) {
      const made = cache.temporary("tree");
      mkdirSync(made);
      writeFileSync(path.join(made, name), "");
      cache.keep("kernel", "tree", made);
    }
    expect(readdirSync(cache.find("kernel", "tree")!)).toEqual(["x"]);
    expect(readdirSync(cache.folder).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("of JSON; one that was cut off is none", () => {
    using folder = new TestFolder();
    const cache = new Cache(folder.path);
    folder.write("objects/good.json", '{"a":1}');
    folder.write("objects/cut.json", '{"a":');
    expect(["good", "cut", "gone"].map((name) => cache.findJson("objects", `${name}.json`))).toEqual([{ a: 1 }, undefined, undefined]);
  });

  test("that nobody used for long are removed, and what a killed build left", () => {
    using folder = new TestFolder();
    const cache = new Cache(folder.path);
    const files = ["objects/old.o", "objects/new.o", ".object.left"].map((name) => folder.write(name, ""));
    const old = new Date(Date.now() - 20 * 86_400_000);
    for (const file of [files[0]!, files[2]!]) utimesSync(file, old, old);
    cache.prune(Date.now());
    expect(files.map((file) => existsSync(file))).toEqual([false, true, false]);
  });

  test("a folder that cannot be one", () => {
    using folder = new TestFolder({ file: "" });
    expect(() => new Cache(path.join(folder.path, "file/cache"))).toThrow("set XDG_CACHE_HOME");
  });
});

test("where it is, and what digests are made of", () => {
  expect(defaultCacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/airlock/dde");
  expect(defaultCacheFolder({ XDG_CACHE_HOME: "relative" })).toMatch(/\.cache\/airlock\/dde$/);
  expect(digestOf("ab", "c")).not.toBe(digestOf("a", "bc"));
});
