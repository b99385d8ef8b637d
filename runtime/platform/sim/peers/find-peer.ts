/** Finds peers: every file of this folder whose default export is a PeerDefinition, by name and by what it can be plugged into. */
import { readdir } from "node:fs/promises";
import { AirlockError } from "../../../api/errors.ts";
import type { SerialPeer } from "../../../bus/device.ts";
import type { NetworkPeer } from "../../../bus/network-peer.ts";
import type { Connector, PeerDefinition, PeerOptions } from "./peer.ts";

let found: Promise<ReadonlyMap<string, PeerDefinition>> | undefined;

/** @throws AirlockError NotFound when there is no serial peer of that name; the message lists what there is */
export async function openSerialPeer(name: string, options: PeerOptions): Promise<SerialPeer> {
  const peer = (await allPeers()).get(name);
  return peer?.createSerial?.(options) ?? (await noSuchPeer(name, "serial"));
}

/** @throws AirlockError NotFound when there is no network peer of that name; the message lists what there is */
export async function openNetworkPeer(name: string, options: PeerOptions): Promise<NetworkPeer> {
  const peer = (await allPeers()).get(name);
  return peer?.createNetwork?.(options) ?? (await noSuchPeer(name, "network"));
}

async function noSuchPeer(name: string, connector: Connector): Promise<never> {
  const all = [...(await allPeers()).values()];
  const fitting = all.filter((peer) => (connector === "serial" ? peer.createSerial : peer.createNetwork) !== undefined);
  const known = fitting.map((peer) => peer.name).sort().join(", ");
  throw new AirlockError("NotFound", `there is no ${connector} peer "${name}"; there are ${known}`, { peer: name });
}

/** Every peer by name. Reads the folder once. */
function allPeers(): Promise<ReadonlyMap<string, PeerDefinition>> {
  return (found ??= readPeers(new URL("./", import.meta.url)));
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
  const { name, createSerial, createNetwork } = value as Partial<Record<"name" | "createSerial" | "createNetwork", unknown>>;
  return typeof name === "string" && (typeof createSerial === "function" || typeof createNetwork === "function");
}
