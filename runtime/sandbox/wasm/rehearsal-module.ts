/** What stands in for a module at a rehearsal: it calls the imports as modules do, from outside of any. */
import { mailboxBytes } from "../../api/bridge.ts";
import { GuestCalls, phaseOf } from "../guest-calls.ts";
import { GuestMemory } from "../guest-memory.ts";
import type { LoadedSandbox, Sandbox } from "../sandbox.ts";
import { ModuleImports } from "./bind-imports.ts";

/** Register accesses of a turn: many, as of a driver that finds its device. */
const accessesPerTurn = 16;
const outputBytes = 16;

/** Compiled code of imports is the thread's, not a module's. `beforeRead` is called before each wait for a register's value. */
export function rehearsalModule(beforeRead: () => void): LoadedSandbox {
  const outbox = new Uint8Array(mailboxBytes);
  const calls = new GuestCalls((length) => outbox.slice(0, length), () => "");
  const imports = new ModuleImports({ calls, bytes: () => outbox, stack: () => "", setup: () => new Uint8Array(0), hasWorld: () => true }).functions() as Imports;
  return {
    start: (world) => {
      calls.start(world, new GuestMemory([]));
      return sandbox((records) => {
        if (!calls.live) return;
        calls.phase = phaseOf(records);
        for (let access = 0; access < accessesPerTurn; access++) {
          // Values as C has them, signed.
          imports.write(0, 0, 32, access % 2 === 0 ? access : -1);
          imports.post_read(0, 0, 32);
          beforeRead();
          if (access % 3 === 0) imports.take_read();
        }
        imports.timer(1, imports.now());
        imports.timer(1, -1);
        imports.irq(0, 0);
        imports.flush(outputBytes);
        calls.settle();
      }, () => calls.dispose());
    },
    dispose: () => undefined,
  };
}

interface Imports {
  write(window: number, offset: number, width: number, value: number): void;
  post_read(window: number, offset: number, width: number): void;
  take_read(): number;
  irq(line: number, op: number): void;
  now(): number;
  timer(tag: number, delayMicros: number): void;
  flush(length: number): void;
}

function sandbox(turn: (records: Uint8Array) => void, dispose: () => void): Sandbox {
  return { tier: "wasm", turn, inject: () => undefined, memoryBytes: () => 0, dispose };
}
