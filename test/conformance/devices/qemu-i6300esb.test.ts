/** The watchdog suite on QEMU's i6300esb; where it differs from the data sheet is declared here. */
import { describe } from "vitest";
import { qemuAvailable } from "../qemu-available.ts";
import { i6300esbSuite } from "./i6300esb.suite.ts";
import { qemuDmaBench } from "./qemu-dma-bench.ts";

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  i6300esbSuite(qemuDmaBench("i6300esb", ["i6300esb-reads-zero", "i6300esb-unnoticed-without-output"]));
});
