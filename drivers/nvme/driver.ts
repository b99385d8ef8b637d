/** Driver for NVM Express controllers: one namespace, one I/O queue pair. Source: NVM Express Base Specification 1.4. */
import { defineDriver } from "airlock/driver";
import { block } from "airlock/driver/block";
import { DiskDriver } from "./disk-driver.ts";

export default defineDriver(block, async (context) => {
  const disk = new DiskDriver(context);
  await disk.start();
  return {
    identify: () => {
      const { blockShift, blocks, maxTransferBytes, queueDepth, volatileCache, writeZeroes, discard, readOnly, label } = disk.identify();
      return {
        blockBytes: 2 ** blockShift, blocks, maxTransferBytes, queueDepth, volatileCache, writeZeroes, discard, readOnly,
        // Every controller of the NVM command set knows it; without a cache it changes nothing (6.15).
        fua: true,
        label: Uint8Array.from(label, (letter) => letter.charCodeAt(0)),
      };
    },
  };
});
