/** Finds the file a worker thread starts from: the built one beside this file, or under dist/ when this file is source. */
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Path of the JavaScript file for a module below runtime/, named without its extension: "platform/sim/thread". */
export function threadEntry(module: string): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const runtime = path.dirname(here);
  const built = path.basename(path.dirname(runtime)) === "dist";
  return built ? path.join(runtime, `${module}.js`) : path.join(path.dirname(runtime), "dist", "runtime", `${module}.js`);
}
