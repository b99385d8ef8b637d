/** The rules about single files over the whole tree, and each rule's ability to fail. */
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { readTree } from "./source-tree.ts";
import { textRules } from "./text-rules.ts";

const files = readTree();
const purpose = "/** Says in one sentence what this file is for. */\n";

const joined = (...parts: readonly string[]): string => parts.join("");

/** Rule -> a file that breaks it, in pieces, so that this file does not. */
const broken: Readonly<Record<string, readonly [path: string, text: string]>> = {
  "begins with a purpose comment": ["runtime/a.ts", 'import x from "y";\n'],
  "is short": ["runtime/a.ts", "x\n".repeat(501)],
  "leaves nothing for later": ["README.md", joined("TO", "DO: everything")],
  "has no machine's paths": ["README.md", joined("cd /ho", "me/someone/project")],
  "names no package registry": ["package-lock.json", joined('"resol', 'ved": "https://example"')],
  "is silent about how it was written": ["README.md", joined("written by an A", "I")],
  "is free of the GPL": ["native/a.c", joined("SPDX-License-Identifier: GP", "L-2.0")],
  "says its licence, in shims/": ["shims/emul/a.c", joined("// SPDX-License-Identifier: Apache-2.0 OR GP", "L-2.0-only")],
  "names no driver, in shims/": ["shims/emul/a.c", joined("if (is(", '"e10', '00"))')],
  "has no holes in its types": ["runtime/a.ts", "const a = b as any;"],
  "silences no compiler": ["runtime/a.ts", joined("// @ts-", "ignore")],
  "catches nothing silently": ["runtime/a.ts", "try { a(); } catch {}"],
  "skips no test without a reason": ["runtime/a.test.ts", 'test.skip("a", () => undefined);'],
  "skips under a condition that prints its reason": ["runtime/a.test.ts", 'test.skipIf(slow)("a", () => undefined);'],
  "reads no clock and rolls no dice by itself": ["runtime/a.ts", "const a = Date.now();"],
  "ends names of quantities with their unit": ["runtime/a.ts", "function a(timeout: number) {}"],
};

describe("every file", () => {
  test.each(textRules)("$name", ({ appliesTo, check }) => {
    const checked = files.filter(({ path }) => appliesTo(path));
    expect(checked.length).toBeGreaterThan(20);
    expect(checked.flatMap((file) => check(file))).toEqual([]);
  });
});

describe("a rule can fail", () => {
  test.each(textRules)("$name", ({ name, appliesTo, check }) => {
    const example = broken[name];
    assert(example !== undefined, `no example breaks "${name}"`);
    const [path, text] = example;
    expect(appliesTo(path)).toBe(true);
    expect(check({ path, text })).toHaveLength(1);
    const licence = path.startsWith("shims/") ? joined("// SPDX-License-Identifier: GP", "L-2.0-only\n") : "";
    const good = { path, text: `${purpose}${licence}export const delayMs: number = 1;\ntry { a(); } catch (error) { report(error); }\n` };
    expect(check(good)).toEqual([]);
  });
});
