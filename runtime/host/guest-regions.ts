/** The guest's DMA memory in a host: pages laid into the sandbox where the addon can, copies through the thread's own view elsewhere. */
import { AirlockError, isAirlockError } from "../api/errors.ts";
import type { BusGrant } from "../bus/platform.ts";
import type { RamAccess, RamHandle } from "../bus/ram.ts";
import { type NativeAddon, loadAddon } from "../native/addon.ts";
import { openRam } from "../native/ram.ts";
import type { GuestRegion } from "../sandbox/sandbox.ts";

/** Everything of one generation's DMA memory in its host. */
export interface GuestRegions {
  readonly regions: readonly GuestRegion[];
  /** Copies between a guest's bytes and what the device sees. */
  copy(region: number, offset: number, bytes: Uint8Array, toDevice: boolean): void;
  close(): void;
}

/** The regions of a grant that its driver may touch. `ram` is the platform's; undefined for one without. */
export function openGuestRegions(grant: BusGrant, ram: RamHandle | undefined): GuestRegions {
  const mappings = grant.dma.filter(({ guest }) => guest);
  const { pageGrant } = grant;
  const addon = pageGrant === undefined || ram?.fd === undefined ? undefined : findAddon();
  let access: RamAccess | undefined;
  return {
    regions: mappings.map(({ ramOffset, sizeBytes }): GuestRegion => ({
      sizeBytes,
      layOver: (memory, byteOffset) => {
        if (addon === undefined) return false;
        addon.layPages(pageGrant!, memory, byteOffset, ram!.fd!, ramOffset, sizeBytes);
        return true;
      },
      map: () => addon?.mapGranted(pageGrant!, ram!.fd!, ramOffset, sizeBytes),
    })),
    copy: (region, offset, bytes, toDevice) => {
      if (ram === undefined) throw new AirlockError("HardwareLost", "the platform has no memory");
      const own = (access ??= openRam(ram));
      const at = mappings[region]!.ramOffset + offset;
      if (toDevice) own.write(at, bytes);
      else own.read(at, bytes);
    },
    close: () => access?.close(),
  };
}

function findAddon(): NativeAddon | undefined {
  try {
    return loadAddon();
  } catch (error) {
    if (isAirlockError(error, "AddonMissing")) return undefined;
    throw error;
  }
}
