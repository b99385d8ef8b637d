/** The RTL8139C suite on our own model. */
import rtl8139 from "../../../runtime/models/rtl8139.ts";
import { rtl8139Suite } from "./rtl8139.suite.ts";
import { simDmaBench } from "./sim-dma-bench.ts";

rtl8139Suite(simDmaBench(rtl8139));
