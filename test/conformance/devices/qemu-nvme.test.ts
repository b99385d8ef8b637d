/** The NVMe suite on QEMU's controller; where it differs from the specification is declared here. And its disk's file. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { qemuAvailable } from "../qemu-available.ts";
import { withDmaBench } from "./dma-bench.ts";
import { Nvme, nvm, pattern } from "./nvme-rig.ts";
import { nvmeSuite } from "./nvme.suite.ts";
import { qemuDmaBench } from "./qemu-dma-bench.ts";

const disk = qemuDmaBench("nvme", ["nvme-ignores-dma-faults", "nvme-keeps-features-on-reset", "nvme-keeps-cache-on-reset"]);

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  nvmeSuite(disk);

  describe("QEMU's NVMe disk", () => {
    test("keeps its blocks in a file, of its size and block size", async () => {
      const folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-"));
      const file = path.join(folder, "disk, with a comma");
      const options = { file, sizeBytes: 1_048_576, blockBytes: 4_096 };
      const bytes = pattern(8_192, 3);
      try {
        await withDmaBench(disk, async (bench) => {
          const nvme = new Nvme(bench);
          await nvme.start();
          const queue = await nvme.createPair(1, 16);
          expect(nvme.blockBytes).toBe(4_096);
          await nvme.writeBlocks(queue, 2, bytes);
          expect((await queue.run({ opcode: nvm.flush, namespace: 1 })).status).toBe(0);
        }, options);
        const contents = await readFile(file);
        expect(contents.length).toBe(1_048_576);
        expect(Uint8Array.from(contents.subarray(8_192, 16_384))).toEqual(bytes);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  });
});
