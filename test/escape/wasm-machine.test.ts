/** Hostile modules in a whole machine over threads: ended from outside where they do not end, and the driver beside them does not notice. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { FailureKind } from "../../runtime/api/failure.ts";
import type { RtcClient } from "../../runtime/classes/rtc/client.ts";
import { type BroughtUp, bringUp } from "../../runtime/cli/bring-up.ts";
import { RecordKind } from "../../runtime/api/records.ts";
import { writeModulePackage } from "../fixtures/module-package.ts";
import { type ModuleText, freeAt, moduleOf, outboxAt } from "../fixtures/module-text.ts";

/** A machine under attack on two busy cores; nothing here waits this long when it works. */
const patienceMs = 20_000;
const honest = path.join(import.meta.dirname, "../../drivers/rtc-mc146818");

let directory: string;
beforeEach(() => { directory = mkdtempSync(path.join(tmpdir(), "airlock-hostile-")); });
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const machineText = (limits: string): string => `machine: hostile
platform: { type: sim }
devices:
  rtc: { compatible: [mc146818], ports: { cmos: { base: 0x70, size: 2 } }, irqs: { tick: 8 } }
  com1: { compatible: [uart-16550], ports: { regs: { base: 0x3f8, size: 8 } }, irqs: { line: 4 } }
drivers:
  clock: { package: ${honest}, device: rtc, grants: [cmos, tick] }
  evil:
    package: evil
    device: com1
    grants: [regs, line]
    restart: { policy: permanent, intensity: 1, period: 60s, backoff: { initial: 1ms, max: 1ms } }
    limits: { ${limits} }
`;

async function bring(parts: ModuleText, limits = ""): Promise<BroughtUp> {
  writeModulePackage(path.join(directory, "evil"), { bytes: moduleOf(parts) });
  const file = path.join(directory, "machine.yaml");
  writeFileSync(file, machineText(limits));
  return bringUp({ file, state: path.join(directory, "state") });
}

/** A record in the outbox, and its way out. */
const send = (kind: number, id: number, tag: number, payloadBytes: number): string => `
  (i32.store (i32.const ${outboxAt}) (i32.const ${payloadBytes}))
  (i32.store (i32.const ${outboxAt + 4}) (i32.const ${kind | (id << 16)}))
  (i32.store (i32.const ${outboxAt + 8}) (i32.const ${tag}))
  (call $flush (i32.const ${16 + ((payloadBytes + 7) & ~7)}))`;
const forever = (body: string): string => `(loop $l ${body} (br $l))`;

const cases: readonly [what: string, parts: ModuleText, kinds: readonly FailureKind[], limits?: string][] = [
  ["loops in a turn", { turn: forever("") }, ["hang"]],
  ["loops in a turn, with memory as its counter", { turn: forever(`(i32.store (i32.const ${freeAt}) (i32.add (i32.const 1) (i32.load (i32.const ${freeAt}))))`) }, ["hang"]],
  ["loops in one block copy after the other", { turn: forever(`(memory.fill (i32.const ${freeAt}) (i32.const 1) (i32.const 4194304))`) }, ["hang"]],
  ["loops while it loads", { load: forever("") }, ["hang", "deadline"], "init: 300ms"],
  ["loops in its start function", { more: `(func $first ${forever("")}) (start $first)` }, ["hang", "deadline"], "init: 300ms"],
  ["never says that it is ready", {}, ["deadline"], "init: 200ms"],
  ["recurses for ever", { turn: "(call $turn (i32.const 0))" }, ["stack"]],
  ["traps", { turn: "(unreachable)" }, ["exception"]],
  ["traps while it loads", { load: "(i32.store (i32.const 0) (i32.const 0))" }, ["start"]],
  ["touches a register outside", { turn: "(drop (call $read (i32.const 0) (i32.const 8) (i32.const 8)))" }, ["capability-violation"]],
  ["touches another driver's window", { turn: "(call $write (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 0))" }, ["capability-violation"]],
  ["takes another driver's line", { turn: "(call $irq (i32.const 1) (i32.const 0))" }, ["capability-violation"]],
  ["does to its line what there is not", { turn: "(call $irq (i32.const 0) (i32.const 9))" }, ["capability-violation", "protocol-violation", "exception"]],
  ["floods its log", { turn: forever(`(call $log (i32.const 30) (i32.const ${freeAt}) (i32.const 4))`) }, ["log-flood"]],
  ["sets timers without end", { turn: `(local $i i32) ${forever("(local.set $i (i32.add (local.get $i) (i32.const 1))) (call $timer (local.get $i) (f64.const 1e12))")}` }, ["message-flood"]],
  ["sends without end", { turn: forever(send(RecordKind.event, 0, 0, 8)) }, ["message-flood", "protocol-violation", "hang"]],
  ["sends a length that lies", { turn: `(i32.store (i32.const ${outboxAt}) (i32.const -1)) (call $flush (i32.const 32))` }, ["protocol-violation"]],
  ["answers what nobody asked", { turn: `${send(RecordKind.ready, 0, 0, 0)} ${send(RecordKind.reply, 0, 4242, 4)}` }, ["protocol-violation"]],
  ["sends what only the host may", { turn: `${send(RecordKind.ready, 0, 0, 0)} ${send(RecordKind.request, 0, 1, 0)}` }, ["protocol-violation"]],
  ["says that it let go", { turn: `${send(RecordKind.ready, 0, 0, 0)} ${send(RecordKind.removed, 0, 0, 0)}` }, ["protocol-violation"]],
];

describe("a module that", () => {
  test.each(cases)("%s is ended, started anew, held; nobody else notices", async (_what, parts, kinds, limits = "") => {
    const up = await bring(parts, limits);
    try {
      const { machine } = up;
      const evil = machine.driver("evil").supervisor;
      const clock = machine.client("clock") as RtcClient;
      await vi.waitUntil(() => evil.status.state === "held", { timeout: patienceMs, interval: 5 });
      const { failures, generation, lastFailure } = evil.status;
      expect({ failures, generation }).toEqual({ failures: expect.any(Object), generation: 2n });
      expect(Object.keys(failures).filter((kind) => !kinds.includes(kind as FailureKind)), lastFailure?.failure.message).toEqual([]);
      await clock.readTime();
      expect(machine.driver("clock").supervisor.status).toMatchObject({ generation: 1n, failures: {} });
      await vi.waitUntil(() => evil.status.hosts.started === evil.status.hosts.ended, { timeout: patienceMs, interval: 5 });
    } finally {
      await up.close();
    }
  });
});

test.each<[string, () => Promise<BroughtUp>, string]>([
  ["was changed after it was built", async () => {
    writeModulePackage(path.join(directory, "evil"), { bytes: moduleOf({}) });
    writeFileSync(path.join(directory, "evil/driver.wasm"), moduleOf({ turn: "(nop)" }));
    writeFileSync(path.join(directory, "machine.yaml"), machineText(""));
    return bringUp({ file: path.join(directory, "machine.yaml"), state: path.join(directory, "state") });
  }, 'driver.json says'],
  ["imports what there is not", () => bring({ memory: '(import "env" "memory" (memory 8 100))' }), '"env.memory" first'],
])("a machine with a module that %s does not start", async (_what, start, said) => {
  await expect(start()).rejects.toThrow(said);
});
