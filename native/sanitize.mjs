/**
 * Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer, apart from the usual build, and exercises it:
 * node native/sanitize.mjs. Exit code 0 when nothing was found, 1 with the report when something was, 2 with the reason where it
 * cannot run. A planted error has to be found first, or silence would mean nothing.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

const folder = import.meta.dirname;
const compilerMs = 5 * 60_000;
const exerciseMs = 5 * 60_000;

/** Node itself is not built with sanitizers: it frees nothing at its end, and handles the signal of a WebAssembly trap by itself. */
const sanitizerOptions = {
  ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0:exitcode=99:handle_segv=0:allow_user_segv_handler=1",
  UBSAN_OPTIONS: "halt_on_error=1:exitcode=99:print_stacktrace=1",
};
const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];

const planted = `#include <cstdlib>
static volatile int sink;
__attribute__((constructor)) static void planted() {
  volatile char* bytes = static_cast<char*>(std::malloc(8));
  sink = bytes[8 + (sink & 1)];
}
`;

process.exitCode = main();

function main() {
  const headers = [process.env.npm_config_nodedir, path.dirname(path.dirname(process.execPath))].filter(Boolean)
    .map((each) => path.join(each, "include", "node")).find((each) => existsSync(path.join(each, "node_api.h")));
  if (headers === undefined) return cannotRun("Node's headers are missing; name the parent of their include/node in npm_config_nodedir");
  const version = spawnSync("g++", ["-print-file-name=libasan.so"], { encoding: "utf8" });
  if (version.error !== undefined) return cannotRun(`g++ is missing (${version.error.message})`);
  const runtime = version.stdout.trim();
  if (!path.isAbsolute(runtime)) return cannotRun("g++ has no AddressSanitizer");
  const scratch = mkdtempSync(path.join(os.tmpdir(), "airlock-sanitize-"));
  try {
    return check(headers, runtime, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function check(headers, runtime, scratch) {
  const environment = { ...process.env, ...sanitizerOptions, LD_PRELOAD: runtime };
  const run = (args) => spawnSync(process.execPath, args, { encoding: "utf8", env: environment, timeout: exerciseMs, killSignal: "SIGKILL" });
  const source = path.join(scratch, "planted.cc");
  const broken = path.join(scratch, "planted.node");
  writeFileSync(source, planted);
  const plain = compile(["-fsanitize=address", source, "-o", broken]);
  if (plain !== undefined) return cannotRun(`g++ failed: ${plain}`);
  const found = run(["-e", "process.dlopen({ exports: {} }, process.argv[1])", broken]);
  if (found.status !== 99 || !found.stderr.includes("heap-buffer-overflow")) {
    return cannotRun(`the sanitizer does not work with this Node: a planted error gave ${outcome(found)}`);
  }
  const addon = path.join(scratch, "airlock.node");
  const failed = compile([...addonFlags(headers), ...sanitizers, "-o", addon]);
  if (failed !== undefined) return report(`g++ failed: ${failed}`);
  const exercised = run(["--expose-gc", path.join(folder, "exercise.mjs"), addon]);
  if (exercised.status !== 0) return report(`the addon failed: ${outcome(exercised)}`);
  process.stdout.write(exercised.stdout);
  return 0;
}

/** Sources and definitions are those of the usual build. */
function addonFlags(headers) {
  const [target] = JSON.parse(readFileSync(path.join(folder, "binding.gyp"), "utf8")).targets;
  const api = createRequire(import.meta.url)("node-addon-api").include_dir;
  return [
    "-std=c++17", "-fno-exceptions", "-I", headers, "-isystem", path.resolve(folder, "..", api),
    ...target.defines.map((each) => `-D${each}`), "-DNODE_GYP_MODULE_NAME=airlock", "-DBUILDING_NODE_EXTENSION",
    ...target.sources.map((each) => path.join(folder, each)),
  ];
}

/** What the compiler said when it failed. */
function compile(args) {
  const options = { encoding: "utf8", timeout: compilerMs, killSignal: "SIGKILL" };
  const result = spawnSync("g++", ["-shared", "-fPIC", "-pthread", "-O1", "-g", ...args], options);
  return result.status === 0 ? undefined : outcome(result);
}

function outcome({ status, signal, stdout, stderr, error }) {
  return [`exit ${status ?? signal}`, error?.message, stdout, stderr].filter(Boolean).join("\n");
}

function cannotRun(reason) {
  process.stderr.write(`${reason}\n`);
  return 2;
}

function report(text) {
  process.stderr.write(`${text}\n`);
  return 1;
}
