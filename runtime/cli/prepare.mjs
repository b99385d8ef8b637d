/**
 * Makes a checkout ready to run: packages, dist/, the native addon, `npx airlock`. Does only what is out of date.
 * Plain JavaScript without dependencies, because it runs before anything is installed: `npm start`, `npm test`,
 * `npm run check`; `npm run build` passes --force. `--dist` builds dist/ only, for test/build.ts.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, rmdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** What tsconfig.build.json compiles. */
const builtFolders = ["runtime", "shims/tools"];

/** The lowest version everything is tested on; the same as "engines" in package.json. */
const leastNode = [20, 19];

/** An installation over a slow line takes minutes; a step that takes longer than this hangs. */
const stepTimeoutMs = 15 * 60_000;

/** Another preparation of the same checkout is waited for this long: the longest it can take with all its steps. */
const lockTimeoutMs = 20 * 60_000;
const lockPollMs = 100;

/** What a failed step shows of its output, half from each end: npm says first what is wrong, compilers last. */
const shownLines = 60;

/** A step that cannot be done. The message is for the user. */
class Failed extends Error {}

await main(process.argv.slice(2));

async function main(args) {
  try {
    const unknown = args.find((arg) => arg !== "--force" && arg !== "--dist");
    if (unknown !== undefined) throw new Failed(`unknown argument "${unknown}"; there are --force and --dist`);
    checkNode();
    const release = await takeLock(path.join(root, ".airlock", "prepare.lock"));
    try {
      await prepare(args.includes("--force"), args.includes("--dist"));
    } finally {
      release();
    }
  } catch (error) {
    // What the system says (a read-only checkout, a full disk) names the call and the path.
    if (!(error instanceof Failed) && typeof error.code !== "string") throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

async function prepare(force, distOnly) {
  if (!distOnly && !isInstalled()) await install();
  await buildDist(force);
  linkCommand();
  if (!distOnly) await buildNative(force);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1])) return;
  throw new Failed(`Airlock needs Node ${leastNode.join(".")} or newer, this is ${process.versions.node} (${process.execPath})`);
}

// ---- packages

/** npm writes node_modules/.package-lock.json last, so it says what a finished installation consists of. */
function isInstalled() {
  const installedFile = path.join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const wanted = readJson(path.join(root, "package-lock.json")).packages;
  const installed = readJson(installedFile).packages;
  return Object.entries(wanted).every(([name, { version, integrity, optional }]) => {
    const found = installed[name];
    if (name === "") return true;
    // Optional packages are binaries for other systems.
    if (found === undefined) return optional === true;
    return found.version === version && found.integrity === integrity;
  });
}

async function install() {
  const npm = process.env.npm_execpath;
  const [command, first] = npm !== undefined && /\.c?js$/.test(npm) ? [process.execPath, [npm]] : ["npm", []];
  // --include=dev: with NODE_ENV=production npm would leave out what builds and tests.
  await step("installing packages (npm ci)", command, [...first, "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund"], root);
}

// ---- dist/

/** dist/ is current when it was built from exactly the sources that are there now. */
async function buildDist(force) {
  const dist = path.join(root, "dist");
  const stamp = path.join(dist, ".sources");
  const fingerprint = fingerprintOf([
    ...builtFolders.filter((folder) => existsSync(path.join(root, folder))).flatMap((folder) => filesBelow(path.join(root, folder), (name) => /\.(?:ts|json)$/.test(name))),
    ...["tsconfig.json", "tsconfig.build.json", "package.json", "node_modules/typescript/package.json"].map((name) => path.join(root, name)),
  ]);
  if (!force && existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint) return;
  if (force) rmSync(dist, { recursive: true, force: true });
  // Until the compiler is done dist/ is of no known state. What it leaves of deleted sources would still be found: the
  // runtime finds faults, models, exports and classes by reading its folders.
  rmSync(stamp, { force: true });
  for (const folder of builtFolders) if (existsSync(path.join(dist, folder))) removeStale(path.join(dist, folder));
  const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
  if (!existsSync(compiler)) throw new Failed('the TypeScript compiler is not installed; run "npm ci --ignore-scripts"');
  await step("building dist (tsc)", process.execPath, [compiler, "-p", "tsconfig.build.json"], root);
  writeFileSync(stamp, fingerprint);
}

/** Removes built files whose source is gone, and folders that are left empty. */
function removeStale(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const built = path.join(folder, entry.name);
    if (entry.isDirectory()) removeStale(built);
    else if (!hasSource(path.relative(path.join(root, "dist"), built))) rmSync(built);
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

function hasSource(built) {
  const source = path.join(root, built.replace(/\.map$/, "").replace(/\.js$/, ".ts"));
  // What tsconfig.build.json leaves out.
  const isTest = /\.test\.ts$|[\\/]test-[^\\/]*\.ts$/.test(source);
  return existsSync(source) && !isTest;
}

// ---- the native addon

async function buildNative(force) {
  const folder = path.join(root, "native");
  const addon = path.join(folder, "build", "Release", "airlock.node");
  const sources = [path.join(folder, "binding.gyp"), ...filesBelow(path.join(folder, "src"), () => true)];
  if (!force && existsSync(addon) && sources.every((source) => statSync(source).mtimeMs <= statSync(addon).mtimeMs)) return;
  const headers = headersFolder();
  const missing = ["g++", "make", "python3"].filter((program) => !isOnPath(program));
  if (headers === undefined) missing.push("Node's headers (include/node; name their folder's parent in npm_config_nodedir)");
  if (missing.length > 0) return withoutAddon(`missing: ${missing.join(", ")}`);
  const gyp = path.join(root, "node_modules", "node-gyp", "bin", "node-gyp.js");
  try {
    await step("building the native addon (node-gyp)", process.execPath, [gyp, "rebuild", "--directory", "native", "--nodedir", headers], root);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    withoutAddon(error.message);
  }
}

/** The folder whose include/node has the headers. Without one node-gyp would download them, which nothing here does. */
function headersFolder() {
  const candidates = [process.env.npm_config_nodedir, path.dirname(path.dirname(process.execPath))];
  return candidates.find((folder) => folder !== undefined && folder !== "" && existsSync(path.join(folder, "include", "node", "node_api.h")));
}

function withoutAddon(reason) {
  process.stderr.write(`the native addon is not built: ${reason}\n`
    + 'Everything works without it but the pty and tap exports; drivers with DMA are slower. "npm run build" tries again.\n');
}

// ---- npx airlock

/** npm links a package's commands when it is installed, not in its own checkout. */
function linkCommand() {
  const folder = path.join(root, "node_modules", ".bin");
  const link = path.join(folder, "airlock");
  const target = "../../dist/runtime/cli/main.js";
  const main = path.resolve(folder, target);
  if (!existsSync(main)) return;
  if ((statSync(main).mode & 0o111) === 0) chmodSync(main, 0o755);
  if (isLinkTo(link, target)) return;
  rmSync(link, { force: true });
  mkdirSync(folder, { recursive: true });
  symlinkSync(target, link);
}

function isLinkTo(link, target) {
  try {
    return readlinkSync(link) === target;
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "EINVAL") return false;
    throw error;
  }
}

// ---- helpers

/** Runs one command with a line of progress; its output is shown only when it fails. */
async function step(title, command, args, cwd) {
  const startedMs = performance.now();
  process.stderr.write(`${title} ... `);
  const { code, output } = await run(command, args, cwd);
  if (code === 0) {
    process.stderr.write(`${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
    return;
  }
  process.stderr.write("failed\n");
  const lines = output.trimEnd().split("\n");
  if (lines.length > shownLines) lines.splice(shownLines / 2, lines.length - shownLines, "...");
  throw new Failed([...lines, `${title} failed: ${code}`].join("\n"));
}

function run(command, args, cwd) {
  return new Promise((resolve) => {
    const chunks = [];
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: stepTimeoutMs, killSignal: "SIGKILL" });
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.stderr.on("data", (chunk) => chunks.push(chunk));
    child.on("error", (error) => resolve({ code: error.message, output: "" }));
    child.on("close", (code, signal) => resolve({ code: code ?? `ended by ${signal}`, output: Buffer.concat(chunks).toString() }));
  });
}

/** One preparation at a time in a checkout. Returns the function that gives the lock back. */
async function takeLock(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  const endMs = performance.now() + lockTimeoutMs;
  let told = false;
  while (!createLock(file)) {
    if (performance.now() > endMs) throw new Failed(`another preparation of this checkout does not end; if there is none, remove ${file}`);
    if (!told && isOwnerAlive(file)) {
      process.stderr.write("waiting for another preparation of this checkout\n");
      told = true;
    }
    await new Promise((resolve) => { setTimeout(resolve, lockPollMs); });
  }
  return () => rmSync(file, { force: true });
}

function createLock(file) {
  try {
    writeFileSync(file, `${process.pid}\n`, { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  // Left behind by a process that was killed. Two that see this at once remove it twice; only one can create it then,
  // or, at worst, both prepare at the same time.
  if (!isOwnerAlive(file)) rmSync(file, { force: true });
  return false;
}

function isOwnerAlive(file) {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    // Empty: its owner is about to write the number.
    if (pid === 0) return Date.now() - statSync(file).mtimeMs < stepTimeoutMs;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (error.code === "EPERM") return true;
    if (error.code === "ESRCH" || error.code === "ENOENT") return false;
    throw error;
  }
}

function fingerprintOf(files) {
  const hash = createHash("sha256");
  for (const file of files) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${path.relative(root, file)} ${mtimeMs} ${size}\n`);
  }
  return hash.digest("hex");
}

function filesBelow(folder, wanted) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && wanted(entry.name))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name)).sort();
}

function isOnPath(program) {
  return (process.env.PATH ?? "").split(path.delimiter).some((folder) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Failed(`cannot read ${file}: ${error.message}`);
  }
}
