/** Finds serial peers: every file of this folder whose default export is a PeerDefinition, by name. */
import { readdir } from "node:fs/promises";
import { AirlockError } from "../../../api/errors.ts";
import type { PeerDefinition } from "./peer.ts";

let found: Promise<ReadonlyMap<string, PeerDefinition>> | undefined;

/** @throws AirlockError NotFound when there is no peer of that name; the message lists what there is */
export async function findPeer(name: string): Promise<PeerDefinition> {
  const peers = await (found ??= readPeers(new URL("./", import.meta.url)));
  const peer = peers.get(name);
  if (peer === undefined) {
    const known = [...peers.keys()].sort().join(", ");
    throw new AirlockError("NotFound", `there is no serial peer "${name}"; there are ${known}`, { peer: name });
  }
  return peer;
}

async function readPeers(folder: URL): Promise<ReadonlyMap<string, PeerDefinition>> {
  const peers = new Map<string, PeerDefinition>();
  const names = (await readdir(folder)).filter((name) => /\.[jt]s$/.test(name) && !/\.(?:test|d)\.[jt]s$/.test(name)).sort();
  for (const name of names) {
    const module: { default?: unknown } = await import(new URL(name, folder).href);
    if (isPeerDefinition(module.default)) peers.set(module.default.name, module.default);
  }
  return peers;
}

function isPeerDefinition(value: unknown): value is PeerDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { name, create } = value as Partial<Record<"name" | "create", unknown>>;
  return typeof name === "string" && typeof create === "function";
}
