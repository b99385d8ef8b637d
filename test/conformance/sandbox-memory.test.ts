/** Runs the suite of DMA memory on every tier. */
import { closeSync } from "node:fs";
import { describe } from "vitest";
import { protectMemory } from "../../runtime/host/protect-memory.ts";
import { loadAddon } from "../../runtime/native/addon.ts";
import { createQuickJsTier } from "../../runtime/sandbox/quickjs/tier.ts";
import { createWasmTier } from "../../runtime/sandbox/wasm/tier.ts";
import { workerTier } from "../../runtime/sandbox/worker/tier.ts";
import { compilerAvailable } from "../fixtures/kernel-available.ts";
import { type SharedPages, sandboxMemorySuite } from "./sandbox-memory.suite.ts";

function sharePages(sizeBytes: number): SharedPages {
  const addon = loadAddon();
  const fd = addon.createSharedMemory("airlock-test", sizeBytes);
  const grant = addon.createPageGrant();
  const view = addon.mapShared(fd, 0, sizeBytes, true);
  return {
    device: new Uint8Array(view),
    region: {
      sizeBytes, map: () => addon.mapGranted(grant, fd, 0, sizeBytes),
      layOver: (memory, byteOffset) => {
        addon.layPages(grant, memory, byteOffset, fd, 0, sizeBytes);
        return true;
      },
    },
    revoke: () => void addon.revokePages(grant),
    close: () => {
      addon.revokePages(grant);
      addon.unmapShared(view);
      closeSync(fd);
    },
  };
}

sandboxMemorySuite("quickjs, fast calls", createQuickJsTier({ callPath: "fast" }), sharePages);
sandboxMemorySuite("quickjs, public calls", createQuickJsTier({ callPath: "public" }), sharePages);
describe.skipIf(!(await compilerAvailable()))("in C", () => {
  sandboxMemorySuite("wasm", createWasmTier({ protect: protectMemory }), sharePages);
});
sandboxMemorySuite("worker", workerTier, sharePages);
