import path from "node:path";
import { expect, test } from "vitest";
import { TestFolder } from "./test-kernel.ts";
import { ToolProcesses } from "./tool-processes.ts";

const program = `
let jobs = 0;
process.on("message", ({ tool, args }) => {
  if (args[0] === "die") throw new Error("no more");
  if (args[0] === "hang") for (;;);
  process.send({ ok: args[0] !== "wrong", diagnostics: [tool, process.pid, ++jobs].join(" ") });
});
`;

function start(folder: TestFolder, timeoutMs?: number): ToolProcesses {
  return new ToolProcesses(path.join(folder.path, "program.mjs"), timeoutMs);
}

test("one process does one job after the other", async () => {
  using folder = new TestFolder({ "program.mjs": program });
  const processes = start(folder);
  const first = await processes.run("clang", ["a.c"]);
  const [tool, pid] = first.diagnostics.split(" ");
  expect({ ok: first.ok, tool }).toEqual({ ok: true, tool: "clang" });
  expect(await processes.run("wasm-ld", ["wrong"])).toEqual({ ok: false, diagnostics: `wasm-ld ${pid} 2` });
  expect(await processes.run("clang", ["a.c"])).toEqual({ ok: true, diagnostics: `clang ${pid} 3` });
});

test("one that ends or hangs is a failed job, and another takes its place", async () => {
  using folder = new TestFolder({ "program.mjs": program });
  const processes = start(folder, 2_000);
  expect(await processes.run("clang", ["die"])).toEqual({ ok: false, diagnostics: expect.stringMatching(/no more[^]*ended with code 1$/) as string });
  expect(await processes.run("clang", ["hang"])).toEqual({ ok: false, diagnostics: "ended by SIGKILL" });
  expect(await processes.run("clang", ["a.c"])).toMatchObject({ ok: true, diagnostics: expect.stringMatching(/^clang \d+ 1$/) as string });
});

test("more jobs than may run at once are all done, and a missing program is a failed job", async () => {
  using folder = new TestFolder({ "program.mjs": program });
  const processes = start(folder);
  const results = await Promise.all(Array.from({ length: 40 }, (_, index) => processes.run("clang", [String(index)])));
  expect(results.every(({ ok }) => ok)).toBe(true);
  expect(await new ToolProcesses(path.join(folder.path, "nowhere.mjs")).run("clang", [])).toMatchObject({ ok: false, diagnostics: expect.stringContaining("nowhere.mjs") as string });
});
