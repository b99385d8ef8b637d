/** The watchdog class contract: a timer that resets the machine unless it is pinged in time. */
import { defineClass } from "../../api/contract.ts";
import { bool, u32 } from "../../api/layout.ts";

/** Longest a driver may take over one operation; also how long a driver that never answers goes unnoticed. It makes a few register accesses. */
const answerMs = 400;

/** Longest timeout a client may ask for, an hour: whoever may be silent for longer is not watched. */
export const maxTimeoutMs = 3_600_000;

/**
 * Times are rounded up to what the device can: it never runs out early. Operations reach a driver one at a time.
 *
 * A driver that starts finds its device as its predecessor left it, usually counting, and leaves it counting if it can. It never
 * pings by itself, nor starts or stops the device unasked: `configure` follows at once where a client had configured it. A driver
 * that has to stop its device to get to know it (Linux's often do) may: until that `configure` is answered nobody is told that
 * the device counts.
 */
export const watchdog = defineClass({
  name: "watchdog",
  version: 1,
  operations: {
    /**
     * What the device can, and how this driver found it. `canStop` false: once running it runs until the next reset.
     * `hasPretimeout`: it can tell before it runs out. `tellsTimeLeft`: `timeLeft` may be asked. `hasExpired`: it ran out before
     * this driver started and nobody has taken note since (Linux: WDIOF_CARDRESET in bootstatus); the driver clears that.
     * `isRunning`: it is counting now.
     */
    identify: {
      treatment: "query", args: {}, deadlineMs: answerMs,
      reply: {
        minTimeoutMs: u32(1), maxTimeoutMs: u32(1), canStop: bool(), hasPretimeout: bool(), tellsTimeLeft: bool(),
        hasExpired: bool(), isRunning: bool(),
      },
    },
    /**
     * The whole configuration. With `running` the device counts from now and runs out after `timeoutMs` without a ping; a device that
     * is running already starts anew. `noWayOut`: from now on it cannot be stopped. `pretimeoutMs` before it runs out `pretimeout`
     * is told; 0 for never. After a restart `timeoutMs` is what the client has left: the next ping says the full time again.
     * The reply says what it rounded to, and whether it runs: a device without a way out keeps running.
     */
    configure: {
      treatment: "config", deadlineMs: answerMs,
      args: { running: bool(), noWayOut: bool(), timeoutMs: u32(1, maxTimeoutMs), pretimeoutMs: u32(0, maxTimeoutMs) },
      reply: { timeoutMs: u32(1), isRunning: bool() },
    },
    /**
     * Counts from now, with this timeout: nearly always the one it has, and then only a reload. Never starts a device that is stopped.
     * When the driver dies before it answers it is sent again with the time that the client still has.
     */
    ping: { treatment: "idempotent", args: { timeoutMs: u32(1, maxTimeoutMs) }, reply: {}, deadlineMs: answerMs },
    /** How long until it runs out, 0 when it is stopped or has run out. Only where `tellsTimeLeft`. */
    timeLeft: { treatment: "query", args: {}, reply: { leftMs: u32() }, deadlineMs: answerMs },
  },
  events: {
    /** It runs out in `pretimeoutMs` unless it is pinged. */
    pretimeout: {},
    /** It ran out, and the driver is alive to tell: the machine was not reset, or not yet. */
    expired: {},
  },
});
