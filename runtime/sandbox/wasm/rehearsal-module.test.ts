/** What stands in for a module uses the bridge as a module does. */
import { expect, test } from "vitest";
import { RecordKind, putRecord, recordBytes } from "../../api/records.ts";
import type { SandboxCalls } from "../sandbox.ts";
import { rehearsalModule } from "./rehearsal-module.ts";

test("its turns call what a driver calls, and each read is announced before it is waited for", () => {
  const seen: string[] = [];
  const call = (name: string) => (): void => { seen.push(name); };
  const numbers = (name: string) => (): number => { seen.push(name); return 0; };
  const calls: SandboxCalls = {
    read: numbers("read"), postRead: call("postRead"), takeRead: numbers("takeRead"), write: call("write"), irq: call("irq"), nowMicros: numbers("now"),
    timer: call("timer"), log: call("log"), setup: () => "{}", copy: call("copy"), output: call("output"), failed: call("failed"),
  };
  const sandbox = rehearsalModule(() => seen.push("announced")).start(calls, []);
  const record = new Uint8Array(recordBytes(0));
  putRecord(record, 0, RecordKind.init, 0, 0, new Uint8Array(0));
  sandbox.turn(record);
  const names = new Set(seen);
  expect([...names].sort()).toEqual(["announced", "irq", "now", "output", "postRead", "takeRead", "timer", "write"]);
  expect(seen.flatMap((name, index) => (name === "takeRead" ? [seen[index - 1]] : []))).toEqual(seen.filter((name) => name === "takeRead").map(() => "announced"));
  const once = seen.length;
  sandbox.dispose();
  sandbox.turn(record);
  expect(seen.length).toBe(once);
});
