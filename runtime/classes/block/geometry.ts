/** What a driver says its device is: checked, told to clients, and compared after each restart. */
import type { Reply } from "../../api/contract.ts";
import type { block } from "./contract.ts";
import type { VolumeInfo } from "./volume.ts";

export type Identity = Reply<typeof block, "identify">;

/** What the shadow may ask of the present driver. */
export interface DeviceFacts {
  readonly blockBytes: number;
  readonly maxTransferBlocks: number;
  readonly queueDepth: number;
  readonly volatileCache: boolean;
  readonly fua: boolean;
}

/** Why a driver's answer is nonsense; undefined when it can be true. */
export function identityRefusal({ blockBytes, blocks, maxTransferBytes }: Identity): string | undefined {
  if ((blockBytes & blockBytes - 1) !== 0) return `blocks of ${blockBytes} bytes; sizes of blocks are powers of two`;
  if (!Number.isSafeInteger(blocks * blockBytes)) return `${blocks} blocks of ${blockBytes} bytes are more than a device can have`;
  if (maxTransferBytes < blockBytes) return `transfers of at most ${maxTransferBytes} bytes do not hold one block of ${blockBytes}`;
  return undefined;
}

/** What clients are told. */
export function volumeInfo({ blockBytes, blocks, readOnly, volatileCache, writeZeroes, discard, label }: Identity): VolumeInfo {
  const printable = String.fromCharCode(...label).replaceAll(/[^\x20-\x7e]/g, "?").trim();
  return { blockBytes, sizeBytes: blocks * blockBytes, readOnly, volatileCache, writeZeroes, discard, label: printable };
}

/** How the device behind the new driver differs from the one clients have open; undefined when it can be the same. */
export function difference(told: VolumeInfo, now: VolumeInfo): string | undefined {
  if (now.sizeBytes !== told.sizeBytes) return `it has ${now.sizeBytes} bytes, and had ${told.sizeBytes}`;
  if (now.blockBytes !== told.blockBytes) return `its blocks have ${now.blockBytes} bytes, and had ${told.blockBytes}`;
  if (now.label !== told.label) return `it is "${now.label}", and was "${told.label}"`;
  return undefined;
}
