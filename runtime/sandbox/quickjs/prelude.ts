/** The script that runs in every guest before its bundle: takes away what could free a mailbox, and makes the bridge object. */

/**
 * Value: a function of the bridge calls and the two mailboxes; it gives `{ bridge, stack }`. It runs before any guest code,
 * so nothing it uses can have been replaced, and what it deletes is gone: no other object refers to it.
 */
export const preludeSource = `(() => {
  "use strict";
  // A buffer that is transferred or resized gives up its memory, and the host would write to freed memory of the guest.
  for (const name of ["transfer", "transferToFixedLength", "transferToImmutable", "resize"]) delete ArrayBuffer.prototype[name];
  // No other thread exists here to share memory with.
  delete globalThis.SharedArrayBuffer;
  delete globalThis.Atomics;
  const { freeze } = Object;
  const HereError = Error;
  const stack = () => new HereError().stack;
  return (read, write, irq, shared, sync, memory, log, nowMicros, timer, flush, fail, setup, fault, inbox, outbox) => [
    freeze({ __proto__: null, read, write, irq, shared, sync, memory, log, nowMicros, timer, flush, fail, setup, fault, inbox, outbox }), stack,
  ];
})()`;

/** The order of the calls in the function's parameters. */
export const preludeCalls = ["read", "write", "irq", "shared", "sync", "memory", "log", "nowMicros", "timer", "flush", "fail", "setup", "fault"] as const;
