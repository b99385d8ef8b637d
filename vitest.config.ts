/** The test projects: unit tests beside their files, and one project for each folder of test/. */
import { defineConfig } from "vitest/config";

/** Threads that tests start run the built code; test/build.ts builds it first, incrementally. */
const project = (name: string, include: string[], extra: Record<string, unknown> = {}) => ({
  test: { name, include, testTimeout: 60_000, hookTimeout: 60_000, globalSetup: ["test/build.ts"], ...extra },
});

export default defineConfig({
  test: {
    // Driver threads and the hardware thread need the second core: one test file at a time.
    fileParallelism: false,
    pool: "forks",
    projects: [
      project("unit", ["runtime/**/*.test.ts", "shims/**/*.test.ts", "drivers/*/*.test.ts"]),
      project("conformance", ["test/conformance/**/*.test.ts"]),
      project("system", ["test/system/**/*.test.ts"]),
      project("escape", ["test/escape/**/*.test.ts"]),
      project("clients", ["test/clients/**/*.test.ts"]),
      project("tidy", ["test/tidy/**/*.test.ts"]),
    ],
  },
});
