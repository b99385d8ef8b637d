/** Joins a loaded sandbox with what a start message brings: rings, clock, recorder, port and memory. */
import type { LogLevel } from "../api/bridge.ts";
import { realClock } from "../api/clock.ts";
import type { Failure } from "../api/failure.ts";
import { ChannelPort } from "../bus/channel-port.ts";
import type { Processors } from "../bus/processors.ts";
import type { LoadedSandbox } from "../sandbox/sandbox.ts";
import { FlightRecorder } from "../trace/flight-recorder.ts";
import { TurnClock } from "../trace/turn-clock.ts";
import { DriverInstance } from "./driver-instance.ts";
import { openGuestRegions } from "./guest-regions.ts";
import { LoopClock } from "./loop-clock.ts";
import { MessageRing } from "./message-ring.ts";
import type { HostTask, StartMessage } from "./thread-messages.ts";

export interface HostEvents {
  log(level: LogLevel, text: string): void;
  /** Once. */
  failed(failure: Failure): void;
  turn(running: boolean): void;
}

export interface AssembledHost {
  readonly instance: DriverInstance;
  readonly toDriver: MessageRing;
  /** The timers of a host that blocks; the event loop's are used by the others. */
  readonly timers: LoopClock;
}

/** Used for drivers and for rehearsals, so that what V8 learned in these is what the driver's host runs. */
export function assembleHost(
  loaded: LoadedSandbox, start: StartMessage, { tier, limits }: Pick<HostTask, "tier" | "limits">, processors: Processors | undefined, events: HostEvents,
): AssembledHost {
  const fromDriver = new MessageRing(start.fromDriver);
  const clock = new TurnClock(() => realClock.nowMicros());
  const timers = new LoopClock();
  let hasFailed = false;
  // Once: a driver in the middle of its turn can flood on.
  const fail = (failure: Failure): void => {
    if (hasFailed) return;
    hasFailed = true;
    events.failed(failure);
  };
  const instance = new DriverInstance(loaded, {
    setup: start.setup, port: new ChannelPort(start.handle, processors), memory: openGuestRegions(start.handle.grant, start.handle.ram),
    clock: tier === "worker" ? realClock : timers, trace: FlightRecorder.attach(start.recorder, () => clock.nowMicros()), limits,
    link: {
      output: (records) => {
        if (hasFailed) return;
        if (fromDriver.put(records)) fromDriver.notify();
        else fail({ kind: "message-flood", message: "sent messages faster than they can be taken" });
      },
      log: (level, text) => events.log(level, text),
      failed: fail,
      turn: (running) => {
        clock.mark();
        events.turn(running);
      },
    },
  });
  return { instance, toDriver: new MessageRing(start.toDriver), timers };
}
