/** The 82540EM suite on our own model. */
import e1000 from "../../../runtime/models/e1000.ts";
import { e1000Suite } from "./e1000.suite.ts";
import { simDmaBench } from "./sim-dma-bench.ts";

e1000Suite(simDmaBench(e1000));
