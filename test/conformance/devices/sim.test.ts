/** The device suites on our own models. */
import { mc146818Suite } from "./mc146818.suite.ts";
import { simBench } from "./sim-bench.ts";
import { uart16550Suite } from "./uart-16550.suite.ts";

mc146818Suite(simBench("mc146818"));
uart16550Suite(simBench("uart-16550"));
