#!/usr/bin/env node
/** The `airlock` program: runs one command line and ends with its exit code. */
import { isAirlockError } from "../api/errors.ts";
import { loadAddon } from "../native/addon.ts";
import { runCommandLine } from "./command-line.ts";

/** After its command a process ends by itself; what still keeps it alive then is a leak, and is cut off. */
const lingerMs = 2_000;

// A reader that has seen enough (`airlock logs | head`), or a terminal that was closed, is no error: what is left to say is not said.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
}

process.exitCode = await runCommandLine(process.argv.slice(2), process.stdout, process.stderr);
setTimeout(() => {
  if (process.env["AIRLOCK_DEBUG"] === "1") process.stderr.write(`airlock: ended with open handles: ${process.getActiveResourcesInfo().join(", ")}\n`);
  endAtOnce(process.exitCode);
}, lingerMs).unref();

/** Node's own exit waits for every thread, also for one of the worker tier that is inside a long builtin: seconds. */
function endAtOnce(code: number | string | null | undefined): never {
  try {
    return loadAddon().exitNow(Number(code ?? 0));
  } catch (error) {
    if (!isAirlockError(error, "AddonMissing")) throw error;
    process.exit();
  }
}
