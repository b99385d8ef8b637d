/** The control plane's end of a hardware thread: a thread that fails is an error of its caller, and of nobody else. */
import { expect, test } from "vitest";
import { realClock } from "../api/clock.ts";
import { HardwareThread } from "./hardware-thread.ts";

test("a thread that fails at its start is PlatformUnavailable, and its failure is handled", async () => {
  // Vitest fails the run for a rejection that nobody handles.
  await expect(HardwareThread.start("bus/there-is-no-such-module", {}, realClock)).rejects.toMatchObject({ code: "PlatformUnavailable" });
  await new Promise((resolve) => { setImmediate(resolve); });
});
