/** Error codes, failure kinds and exit codes against the tables that document them. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { errorCodes } from "../../runtime/api/errors.ts";
import { failureKinds } from "../../runtime/api/failure.ts";
import { exitCodes } from "../../runtime/cli/exit-codes.ts";
import { differences, tableBelow } from "./documentation.ts";
import { root } from "./source-tree.ts";

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

test("error codes: runtime/api/errors.ts and runtime/api/README.md", () => {
  expect(differences(errorCodes, tableBelow(read("runtime/api/README.md"), "Error codes"))).toEqual([]);
});

test("failure kinds: runtime/api/failure.ts and runtime/api/README.md", () => {
  expect(differences(failureKinds, tableBelow(read("runtime/api/README.md"), "Failure kinds"))).toEqual([]);
});

test("exit codes: runtime/cli/exit-codes.ts and README.md", () => {
  const defined = Object.fromEntries(Object.values(exitCodes).map(({ code, meaning }) => [String(code), meaning]));
  expect(differences(defined, tableBelow(read("README.md"), "Exit codes"))).toEqual([]);
});

describe("the comparison", () => {
  const markdown = "# A\n\n| name | meaning |\n|---|---|\n| `a` | one |\n| `b` | two |\n\n# B\n\ntext\n\n# C\n| x | y |\n|-|-|\n| c | three |";

  test("reads the table below a heading", () => {
    expect([...tableBelow(markdown, "A")]).toEqual([["a", "one"], ["b", "two"]]);
    expect([...tableBelow(markdown, "C")]).toEqual([["c", "three"]]);
    expect(() => tableBelow(markdown, "B")).toThrow("no table");
    expect(() => tableBelow(markdown, "D")).toThrow("no heading");
  });

  test("sees what is missing, left over or different", () => {
    expect(differences({ a: "one", c: "three" }, tableBelow(markdown, "A"))).toEqual(['"c" is not documented', '"b" is documented and does not exist']);
    expect(differences({ a: "one", b: "2" }, tableBelow(markdown, "A"))).toEqual(['"b" means "2", its documentation says "two"']);
  });
});
