/** Finds a QEMU that can be used as hardware: one whose `-accel qtest` works. */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import path from "node:path";
import { AirlockError } from "../../api/errors.ts";

/** What to install on Debian; its qemu-system-x86 comes without the qtest accelerator. */
export const installAdvice = "apt-get install --no-install-recommends qemu-system-xen seabios qemu-system-data ipxe-qemu";

/** The environment variable that names the QEMU to use, and no other is tried. */
export const qemuVariable = "AIRLOCK_QEMU";

/** Starting and ending an empty machine takes about 20 ms; a loaded machine gets a hundred times that, once per binary. */
const probeTimeoutMs = 5_000;

/** More of a probe's output than this says nothing more. */
const probeOutputBytes = 4_096;

const wellKnown = ["/usr/libexec/xen-qemu-system-i386"];
const namesInPath = ["qemu-system-x86_64", "qemu-system-i386"];

export interface QemuBinary {
  readonly path: string;
  /** As QEMU says it: "7.2.22". */
  readonly version: string;
}

/**
 * The first usable QEMU: AIRLOCK_QEMU when it is set, else Debian's qemu-system-xen, else a stock one in PATH.
 * @throws AirlockError PlatformUnavailable, one line that says what was tried, why it cannot be used, and what to install
 */
export async function findQemu(environment: Readonly<Record<string, string | undefined>> = process.env): Promise<QemuBinary> {
  const refusals: string[] = [];
  for (const candidate of candidates(environment)) {
    const found = await probe(candidate);
    if (typeof found !== "string") return found;
    refusals.push(`${candidate} ${found}`);
  }
  const tried = refusals.length > 0 ? refusals.join("; ") : "there is none";
  throw new AirlockError("PlatformUnavailable", `no QEMU with the qtest accelerator: ${tried}. Install one (${installAdvice}) or name one in ${qemuVariable}`, {
    platform: "qemu",
  });
}

function candidates(environment: Readonly<Record<string, string | undefined>>): string[] {
  const named = environment[qemuVariable];
  if (named !== undefined && named !== "") return [named];
  const folders = (environment["PATH"] ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  return [...wellKnown, ...namesInPath.flatMap((name) => folders.map((folder) => path.join(folder, name)))];
}

/** Starts an empty machine and asks it to quit; the reason when that fails. Missing files of the usual places are not worth a word. */
async function probe(binary: string): Promise<QemuBinary | string> {
  try {
    await access(binary, constants.X_OK);
  } catch {
    return "is not there or not executable";
  }
  const { code, output } = await runEmptyMachine(binary);
  const version = /"qemu":\s*\{([^}]*)\}/.exec(output)?.[1];
  if (code !== 0 || version === undefined) return `cannot do it (${lastLine(output) || `exit code ${code}`})`;
  return { path: binary, version: ["major", "minor", "micro"].map((part) => new RegExp(`"${part}":\\s*(\\d+)`).exec(version)?.[1] ?? "?").join(".") };
}

function runEmptyMachine(binary: string): Promise<{ code: number | string; output: string }> {
  const emptyMachine = ["-no-user-config", "-nodefaults", "-machine", "none", "-display", "none", "-accel", "qtest", "-qmp", "stdio"];
  return new Promise((resolve) => {
    let output = "";
    const keep = (chunk: Buffer): void => {
      if (output.length < probeOutputBytes) output += chunk.toString("utf8").slice(0, probeOutputBytes - output.length);
    };
    const child = spawn(binary, emptyMachine, { stdio: ["pipe", "pipe", "pipe"], timeout: probeTimeoutMs, killSignal: "SIGKILL" });
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    // A binary that ends before it reads breaks the pipe; its exit code tells the rest.
    child.stdin.on("error", () => undefined);
    child.on("error", (error) => resolve({ code: error.message, output }));
    child.on("close", (code, signal) => resolve({ code: code ?? signal ?? "unknown", output }));
    child.stdin.end('{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n');
  });
}

function lastLine(output: string): string {
  return output.trim().split("\n").at(-1)?.trim().slice(0, 200) ?? "";
}
