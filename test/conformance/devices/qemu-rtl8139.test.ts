/** The RTL8139C suite on QEMU's card; where it differs from the data sheet is declared here. */
import { describe } from "vitest";
import { qemuAvailable } from "../qemu-available.ts";
import { qemuDmaBench } from "./qemu-dma-bench.ts";
import { rtl8139Suite } from "./rtl8139.suite.ts";

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  rtl8139Suite(qemuDmaBench("rtl8139", ["rtl8139-ignores-dma-faults"], { mac: "52:54:00:12:34:56" }));
});
