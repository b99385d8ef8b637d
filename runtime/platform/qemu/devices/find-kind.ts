/** Finds how a device is put on QEMU's command line: every file of this folder whose default export is a QemuDeviceKind. */
import { readdir } from "node:fs/promises";
import { AirlockError } from "../../../api/errors.ts";
import type { QemuDeviceKind } from "./kind.ts";

let found: Promise<ReadonlyMap<string, QemuDeviceKind>> | undefined;

/**
 * The kind for a device, by the first of `compatible` (most specific first) that any kind names.
 * @throws AirlockError NotFound when there is none; the message lists what there is
 */
export async function findKind(compatible: readonly string[]): Promise<QemuDeviceKind> {
  const kinds = await (found ??= readKinds(new URL("./", import.meta.url)));
  for (const name of compatible) {
    const kind = kinds.get(name);
    if (kind !== undefined) return kind;
  }
  throw new AirlockError(
    "NotFound", `no QEMU device is compatible with ${compatible.join(", ") || "(nothing)"}; there are ${[...kinds.keys()].sort().join(", ")}`,
    { compatible: compatible.join(",") },
  );
}

/** @throws Error when two files claim the same name: whoever added the second has to decide */
async function readKinds(folder: URL): Promise<ReadonlyMap<string, QemuDeviceKind>> {
  const kinds = new Map<string, QemuDeviceKind>();
  const names = (await readdir(folder)).filter((name) => /\.[jt]s$/.test(name) && !/\.(?:test|d)\.[jt]s$/.test(name)).sort();
  for (const name of names) {
    const module: { default?: unknown } = await import(new URL(name, folder).href);
    const kind = module.default;
    if (!isKind(kind)) continue;
    for (const compatible of kind.compatible) {
      if (kinds.has(compatible)) throw new Error(`runtime/platform/qemu/devices: ${name} claims "${compatible}", which another file has`);
      kinds.set(compatible, kind);
    }
  }
  return kinds;
}

function isKind(value: unknown): value is QemuDeviceKind {
  if (typeof value !== "object" || value === null) return false;
  const { compatible, build } = value as Partial<Record<"compatible" | "build", unknown>>;
  return typeof build === "function" && Array.isArray(compatible) && compatible.length > 0 && compatible.every((name) => typeof name === "string");
}
