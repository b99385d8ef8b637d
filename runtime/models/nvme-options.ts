/** Options of the simulated NVMe disk: checked, with their defaults, and the namespaces they make. */
import { resolve } from "node:path";
import { AirlockError } from "../api/errors.ts";
import type { DeviceDescription } from "../bus/device.ts";
import { NvmeFileStore } from "./nvme-file-store.ts";
import { NvmeMedia } from "./nvme-media.ts";
import { NvmeRamStore } from "./nvme-store.ts";

export interface NvmeOptions {
  /** Size of each namespace; undefined: as large as its file. */
  readonly sizeBytes: number | undefined;
  readonly blockBytes: 512 | 4096;
  /** Absolute path of the first namespace's file; undefined: memory. */
  readonly file: string | undefined;
  /** Of the whole controller; its namespaces share it out. */
  readonly cacheBytes: number;
  readonly namespaces: number;
  /** How long after a doorbell the controller looks for commands. */
  readonly latencyMicros: number;
  readonly serial: string;
  /** CAP.DSTRD: doorbells are 4 bytes shifted by this apart. */
  readonly doorbellStride: number;
}

/** One namespace: its blocks and how many there are. */
export interface NvmeNamespace {
  readonly id: number;
  readonly media: NvmeMedia;
  readonly blockShift: number;
  readonly blockBytes: number;
  readonly blocks: number;
}

const defaultSizeBytes = 64 * 1_048_576;
const defaultCacheBytes = 8 * 1_048_576;
/** The largest disk: its memory's administration stays below a few megabytes. */
const maxSizeBytes = 2 ** 40;
/** The cache is memory that stays: no disk has more. */
const maxCacheBytes = 2 ** 30;
/** A driver sees its requests time out long before. */
const maxLatencyMicros = 60e6;
/** All doorbells have to lie in one page. */
const maxDoorbellStride = 4;
/** Identify has room for so many characters. */
const serialLength = 20;

/** @throws AirlockError InvalidArgument naming the option and what it may be */
export function nvmeOptions({ name, options }: DeviceDescription, directory: string): NvmeOptions {
  const number = (key: string, fallback: number, min: number, max: number): number => {
    const value = options[key] ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    throw invalid(name, key, value, `a whole number from ${min} to ${max}`);
  };
  const blockBytes = options["blockBytes"] ?? 512;
  if (blockBytes !== 512 && blockBytes !== 4096) throw invalid(name, "blockBytes", blockBytes, "512 or 4096");
  const { file, volatileCache = true, serial = "AIRLOCK0001" } = options;
  if (file !== undefined && (typeof file !== "string" || file === "")) throw invalid(name, "file", file, "a path");
  if (typeof volatileCache !== "boolean") throw invalid(name, "volatileCache", volatileCache, "true or false");
  if (typeof serial !== "string" || !/^[ -~]{1,20}$/.test(serial)) throw invalid(name, "serial", serial, `1 to ${serialLength} ASCII characters`);
  const sized = options["sizeBytes"] !== undefined || file === undefined;
  const sizeBytes = sized ? number("sizeBytes", defaultSizeBytes, blockBytes, maxSizeBytes) : undefined;
  if (sizeBytes !== undefined && sizeBytes % blockBytes !== 0) throw invalid(name, "sizeBytes", sizeBytes, `a multiple of ${blockBytes}`);
  return {
    sizeBytes, blockBytes, file: file === undefined ? undefined : resolve(directory, file), serial,
    cacheBytes: volatileCache ? number("cacheBytes", defaultCacheBytes, 0, maxCacheBytes) : 0,
    namespaces: number("namespaces", 1, 1, 4), latencyMicros: number("latencyMicros", 0, 0, maxLatencyMicros),
    doorbellStride: number("doorbellStride", 0, 0, maxDoorbellStride),
  };
}

/** Each namespace has a store of its own: a second one's file is the first one's with ".2" at its end. */
export function makeNamespaces({ sizeBytes, blockBytes, file, cacheBytes, namespaces }: NvmeOptions): readonly NvmeNamespace[] {
  const made: NvmeNamespace[] = [];
  for (let id = 1; id <= namespaces; id++) {
    const store = file === undefined
      ? new NvmeRamStore(sizeBytes ?? defaultSizeBytes)
      : new NvmeFileStore(id === 1 ? file : `${file}.${id}`, sizeBytes, blockBytes);
    const media = new NvmeMedia(store, blockBytes, cacheBytes / namespaces);
    made.push({ id, media, blockBytes, blockShift: Math.log2(blockBytes), blocks: store.sizeBytes / blockBytes });
  }
  return made;
}

function invalid(device: string, key: string, value: string | number | boolean, right: string): AirlockError {
  return new AirlockError("InvalidArgument", `device "${device}": option ${key} is ${String(value)}; write ${right}`, { device, option: key });
}
