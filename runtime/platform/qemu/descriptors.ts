/** What QEMU gets from us as open descriptors: files in memory for RAM and disks, which have no name, and TAP interfaces. */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { AirlockError, errorText } from "../../api/errors.ts";
import { loadAddon } from "../../native/addon.ts";

export type QemuDescriptor =
  /** A zeroed file of that size. */
  | { readonly kind: "memory"; readonly sizeBytes: number }
  | { readonly kind: "tap"; readonly name: string; readonly mtu: number };

/** A file system in memory, on every Linux. */
const memoryFolder = "/dev/shm";

/** Letters of a name that nobody guesses, for the moment the file has one. */
const nameBytes = 12;

/** @throws AirlockError PlatformUnavailable when there is no room or no such interface, AddonMissing for a TAP without the addon */
export function openDescriptor(folder: string, wanted: QemuDescriptor): number {
  if (wanted.kind === "memory") return createMemoryFile(folder, wanted.sizeBytes);
  const { name, mtu } = wanted;
  const addon = loadAddon();
  try {
    return addon.openTap({ name, mtu, up: true }).fd;
  } catch (cause) {
    throw new AirlockError(
      "PlatformUnavailable", `peer tap: interface "${name}" does not open (${errorText(cause)}); it needs CAP_NET_ADMIN and /dev/net/tun`, { interface: name }, { cause },
    );
  }
}

/**
 * A zeroed, sparse file, unlinked already: it is gone with its last descriptor, however we end. In memory where there is room
 * for all of it, because a full file system would end QEMU with SIGBUS; else in `folder`.
 * @throws AirlockError PlatformUnavailable when there is room in neither
 */
function createMemoryFile(folder: string, sizeBytes: number): number {
  const refusals: string[] = [];
  for (const place of [memoryFolder, folder]) {
    try {
      const { bavail, bsize } = fs.statfsSync(place);
      if (bavail * bsize >= sizeBytes) return createUnlinked(place, sizeBytes);
      refusals.push(`${place} has ${bavail * bsize} bytes left`);
    } catch (error) {
      refusals.push(errorText(error));
    }
  }
  throw new AirlockError("PlatformUnavailable", `no room for ${sizeBytes} bytes of memory for QEMU: ${refusals.join("; ")}`, { platform: "qemu" });
}

function createUnlinked(folder: string, sizeBytes: number): number {
  const name = path.join(folder, `airlock-${randomBytes(nameBytes).toString("hex")}`);
  const fd = fs.openSync(name, "wx+", 0o600);
  try {
    fs.unlinkSync(name);
    fs.ftruncateSync(fd, sizeBytes);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}
