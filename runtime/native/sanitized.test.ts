import { execFile } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";
import { requireClient } from "../../test/clients/client.ts";

/** Compiling takes most of it; sanitized code runs at a third of its speed. */
const sanitizeMs = 8 * 60_000;

test("sanitizers find nothing in the addon", async (context) => {
  const script = path.join(import.meta.dirname, "../../native/sanitize.mjs");
  const { code, output } = await new Promise<{ code: unknown; output: string }>((resolve) => {
    execFile(process.execPath, [script], { timeout: sanitizeMs, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code ?? error.signal, output: `${stdout}${stderr}` });
    });
  });
  if (code === 2) requireClient(context, output.trim());
  expect({ code, output }).toEqual({ code: 0, output: "the addon was exercised; nothing is left\n" });
}, sanitizeMs + 10_000);
