/** The hardware thread's loop: device time, the drivers' channels, and control messages, in one synchronous thread. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { realClock } from "../api/clock.ts";
import { AirlockError, errorText } from "../api/errors.ts";
import { DoorbellWord, gateAll } from "./channel.ts";
import { ChannelServer } from "./channel-server.ts";
import type { HardwareBackend } from "./hardware-backend.ts";
import type { HardwareCall, HardwareMessage, HardwareRequest } from "./hardware-control.ts";
import { Patience } from "./patience.ts";
import type { Processors } from "./processors.ts";
import { ResetRequests } from "./reset-requests.ts";

/** Longest sleep: bounds how late a doorbell that was missed is noticed. */
const maxSleepMs = 100;

/** Passes without work per look at the clock: some us. */
const passesPerTime = 8;

/**
 * A driver that was connected so short a time ago and has read so many registers is finding its device: it reads thousands, with less
 * between two of them than it takes to wake this thread, which stays awake for it that long.
 */
const startMicros = 200_000;
const readsAtStart = 16;
const awaitReadMicros = 300;

/**
 * Serves until told to stop or the hardware is lost. Never returns to the event loop meanwhile: everything that needs
 * one (imports, sockets) has to be ready before.
 */
export function runHardwareLoop(backend: HardwareBackend, doorbellBuffer: SharedArrayBuffer, control: MessagePort, processors?: Processors): void {
  const loop = new HardwareLoop(backend, new Int32Array(doorbellBuffer), control, processors);
  loop.run();
}

class HardwareLoop {
  readonly #backend: HardwareBackend;
  readonly #doorbell: Int32Array;
  readonly #control: MessagePort;
  readonly #processors: Processors | undefined;
  readonly #servers = new Map<number, ChannelServer>();
  readonly #resets = new ResetRequests(() => realClock.nowMicros() / 1000, (device) => this.#send({ type: "reset-request", device }));
  readonly #patience = new Patience();
  #stopping = false;
  #lastRing = -1;

  constructor(backend: HardwareBackend, doorbell: Int32Array, control: MessagePort, processors: Processors | undefined) {
    this.#backend = backend;
    this.#doorbell = doorbell;
    this.#control = control;
    this.#processors = processors;
  }

  run(): void {
    this.#backend.onResetRequest?.((device) => this.#resets.add(device));
    this.#send({ type: "ready" });
    try {
      let idlePasses = 0;
      while (!this.#stopping) {
        if (this.#pass()) {
          idlePasses = 0;
          this.#patience.worked(() => this.#reads());
        } else if (++idlePasses % passesPerTime === 0 && this.#isOver(realClock.nowMicros())) this.#sleep();
      }
    } catch (error) {
      for (const server of this.#servers.values()) server.lose();
      this.#send({ type: "lost", reason: errorText(error) });
    }
  }

  #pass(): boolean {
    const seen = Atomics.load(this.#doorbell, DoorbellWord.ring);
    this.#backend.advance();
    let commands = 0;
    for (const server of this.#servers.values()) commands += server.serve();
    if (commands > 0) this.#backend.flush();
    this.#resets.tellDue();
    // A control message always rings the doorbell, so the port is polled only when it did, or before a sleep.
    const rang = seen !== this.#lastRing;
    this.#lastRing = seen;
    return (rang && this.#serveControl()) || commands > 0;
  }

  /** Whether it is time to sleep. */
  #isOver(nowMicros: number): boolean {
    if (!this.#patience.isOver(nowMicros)) return false;
    if (nowMicros - this.#patience.sinceMicros >= awaitReadMicros) return true;
    for (const server of this.#servers.values()) if (nowMicros - server.connectedMicros < startMicros && server.reads >= readsAtStart) return false;
    return true;
  }

  #sleep(): void {
    if (this.#serveControl()) return;
    const seen = Atomics.load(this.#doorbell, DoorbellWord.ring);
    Atomics.store(this.#doorbell, DoorbellWord.sleeping, 1);
    const busy = seen !== this.#lastRing || [...this.#servers.values()].some((server) => server.hasWork);
    const timeoutMs = Math.min(maxSleepMs, this.#backend.idleMicros() / 1000);
    if (!busy && timeoutMs > 0) {
      const start = realClock.nowMicros();
      const isWoken = Atomics.wait(this.#doorbell, DoorbellWord.ring, seen, timeoutMs) !== "timed-out";
      this.#patience.slept(isWoken ? realClock.nowMicros() - start : Infinity, this.#reads());
    }
    Atomics.store(this.#doorbell, DoorbellWord.sleeping, 0);
    if (this.#processors !== undefined) Atomics.store(this.#doorbell, DoorbellWord.processor, this.#processors.current() + 1);
  }

  /** Reads of drivers until now; only differences matter. */
  #reads(): number {
    let sum = 0;
    for (const server of this.#servers.values()) sum = (sum + server.reads) | 0;
    return sum;
  }

  #serveControl(): boolean {
    let served = false;
    for (let item = receiveMessageOnPort(this.#control); item !== undefined; item = receiveMessageOnPort(this.#control)) {
      served = true;
      const { id, request } = item.message as HardwareCall;
      try {
        this.#send({ type: "reply", id, value: this.#perform(request) });
      } catch (error) {
        if (!(error instanceof AirlockError) || error.code === "HardwareLost") throw error;
        this.#send({ type: "error", id, code: error.code, message: error.message, fields: error.fields });
      }
    }
    return served;
  }

  #perform(request: HardwareRequest): Readonly<Record<string, number>> | undefined {
    switch (request.op) {
      case "connect": {
        const { connection, handle } = request;
        this.#servers.set(connection, new ChannelServer(handle, this.#backend, (report) => this.#send({ type: "report", connection, report })));
        return undefined;
      }
      case "statistics": return this.#backend.statistics(request.device);
      case "power-cut": this.#backend.powerCut(request.device); return undefined;
      case "plug": this.#backend.plug(request.device, request.isIn); return undefined;
      case "stop": {
        this.#stopping = true;
        // Before the answer, after which this thread may be ended at any moment.
        this.#backend.close();
        return undefined;
      }
      default: return this.#tearDown(request);
    }
  }

  #tearDown(request: Extract<HardwareRequest, { connection: number }>): undefined {
    const server = this.#servers.get(request.connection);
    if (server === undefined) return;
    if (request.op === "gate") server.close(request.bits);
    else if (request.op === "mask") {
      // The gate was closed before this; from now on it stays closed whatever the driver writes to its channel. What was
      // posted before is dropped by the time this answers.
      server.close(gateAll);
      server.serve();
      server.bus.maskAll();
    } else if (request.op === "quiesce") server.bus.quiesce(request.steps);
    else if (request.op === "stop-dma") server.bus.stopDma();
    else if (request.op === "unmap") server.bus.unmap();
    else if (request.op === "force-ack") server.bus.detach();
    else if (request.op === "close") {
      // In order these have nothing left to do; after a step that was skipped they have.
      server.bus.stopDma();
      server.bus.unmap();
      server.bus.detach();
      this.#servers.delete(request.connection);
    }
  }

  #send(message: HardwareMessage): void {
    this.#control.postMessage(message);
  }
}
