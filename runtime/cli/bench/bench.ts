/** What a bench is: a file of this folder that measures one thing and prints it. Found by the folder. */

/** An option of `airlock bench <name>`, as commander takes it. */
export interface BenchOption {
  readonly flags: string;
  readonly description: string;
  readonly default?: string;
}

export interface BenchCall {
  /** The values of `options`, by commander's name for them, as given on the command line. */
  readonly options: Readonly<Record<string, unknown>>;
  /** A line for somebody who waits. */
  progress(text: string): void;
}

/** The default export of each file of this folder that is a bench. `R` is plain data: what `--json` prints. */
export interface BenchDefinition<R = unknown> {
  readonly name: string;
  /** What it measures, as a continuation of "measure ...". */
  readonly summary: string;
  readonly options?: readonly BenchOption[];
  run(call: BenchCall): Promise<R>;
  /** The result for people. */
  text(result: R): string;
}
