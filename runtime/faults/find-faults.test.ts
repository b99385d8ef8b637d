/** Tests of the faults as definitions: each can be sent, each says what must detect it, and those in C ask for what the border has. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { failureKinds } from "../api/failure.ts";
import { faultCode } from "./fault.ts";
import { findFaults } from "./find-faults.ts";

const header = readFileSync(new URL("../../shims/abi/airlock.h", import.meta.url), "utf8");
const inC = new Map([...header.matchAll(/^#define AIRLOCK_FAULT_(\w+) (\d+)u$/gm)].map(([, name, number]) => [Number(number), name!]));

test("each fault says what detects it, and its source is an expression by itself", async () => {
  const faults = await findFaults();
  expect(faults.size).toBeGreaterThan(30);
  for (const [name, fault] of faults) {
    expect(name).toBe(fault.name);
    expect(fault.detectedAs.length).toBeGreaterThan(0);
    for (const kind of fault.detectedAs) expect(Object.keys(failureKinds)).toContain(kind);
    expect(typeof new Function(`return (${faultCode(fault)});`)()).toBe("function");
  }
});

test("there is a fault for each thing a driver can do wrong in C, and it asks for that", async () => {
  const asked = new Map<number, string>();
  for (const fault of (await findFaults()).values()) {
    if (fault.tiers?.includes("wasm") !== true) continue;
    let number = 0;
    (fault.run as (tools: { perform(kind: number): void }) => void)({ perform: (kind) => { number = kind; } });
    expect(asked.has(number), `${fault.name} is another's`).toBe(false);
    asked.set(number, fault.name);
  }
  expect([...asked.keys()].sort((a, b) => a - b)).toEqual([...inC.keys()].sort((a, b) => a - b));
  expect(asked.get(1)).toBe("null-read");
  expect(inC.get(1)).toBe("NULL_READ");
});
