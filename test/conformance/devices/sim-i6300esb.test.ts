/** The watchdog suite on our own model. */
import model from "../../../runtime/models/i6300esb.ts";
import { i6300esbSuite } from "./i6300esb.suite.ts";
import { simDmaBench } from "./sim-dma-bench.ts";

i6300esbSuite(simDmaBench(model));
