/** What a class's conformance suite needs of the place it runs in: a client above a driver that can be crashed. */

export interface ClassBench<Client> {
  readonly client: Client;
  /** Kills the driver in whatever it is doing; resolves when the next generation is passive. */
  readonly crash: () => Promise<void>;
  /** Lets this much machine time pass: waits on a real clock, steps a virtual one. */
  readonly advance: (ms: number) => Promise<void>;
  /** Ends the machine; the test fails when anything of it is left. */
  readonly close: () => Promise<void>;
}

export interface ClassBenchFactory<Client> {
  /** Shown in test names: "rtc-mc146818 on sim, quickjs". */
  readonly name: string;
  open(): Promise<ClassBench<Client>>;
}

/** Runs `body` on a machine of its own, and ends it whatever happens. */
export async function withBench<Client>(factory: ClassBenchFactory<Client>, body: (bench: ClassBench<Client>) => Promise<void>): Promise<void> {
  const bench = await factory.open();
  try {
    await body(bench);
  } finally {
    await bench.close();
  }
}

/** Waits for a condition in machine time, in steps; false when it does not come within the limit. */
export async function eventually(bench: ClassBench<unknown>, condition: () => boolean, limitMs: number, stepMs = 10): Promise<boolean> {
  for (let spentMs = 0; spentMs < limitMs && !condition(); spentMs += stepMs) await bench.advance(stepMs);
  return condition();
}
