/** The NVMe suite on our own model: as it comes, and with other blocks, doorbells, stores and timing. */
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import nvme from "../../../runtime/models/nvme.ts";
import { nvmeSuite } from "./nvme.suite.ts";
import { simDmaBench } from "./sim-dma-bench.ts";

nvmeSuite(simDmaBench(nvme));

describe("4 KiB blocks, four namespaces, doorbells 16 bytes apart", () => {
  nvmeSuite(simDmaBench(nvme, { options: { blockBytes: 4096, namespaces: 4, doorbellStride: 2, cacheBytes: 16_384 } }));
});

describe("without a cache, commands take 150 us", () => {
  nvmeSuite(simDmaBench(nvme, { options: { volatileCache: false, latencyMicros: 150 } }));
});

describe("in a file", () => {
  const directory = join(tmpdir(), `airlock-nvme-${process.pid}`);
  beforeAll(() => {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  nvmeSuite(simDmaBench(nvme, { directory, options: { file: "disk.img", sizeBytes: 40 * 1_048_576, cacheBytes: 65_536 } }));
});
