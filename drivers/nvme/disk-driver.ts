/** The driver as a whole: requests in, interrupts, time-outs, resets. Source: NVM Express Base Specification 1.4, sections 5.1 and 9. */
import { AirlockError, type DriverContext, type IrqLine } from "airlock/driver";
import { block } from "airlock/driver/block";
import { AdminQueue } from "./admin-queue.ts";
import { type Disk, bringUp, identify } from "./bring-up.ts";
import { AdminOpcode } from "./commands.ts";
import { Controller } from "./controller.ts";
import { Events } from "./events.ts";
import type { Namespace } from "./identify.ts";
import { IoQueue, ioQueueId } from "./io-queue.ts";
import { type Layout, layOut } from "./layout.ts";

type Context = DriverContext<typeof block>;

const requestWords = block.queues.io.request.words;

/** How often commands that are out are looked after. Idle drivers have no timer. */
const tickMs = 250;
/** An admin command takes no device a second; after that, a reset. */
const adminTicks = ticks(1_000);
/** What a command that was to be aborted gets on top, before the controller is reset (9.1). */
const abortGraceTicks = 2;
/** Resets that did not help: after these, within `resetPeriodMs`, the driver gives up and is restarted. */
const maxResets = 3;
const resetPeriodMs = 60_000;

export class DiskDriver {
  readonly #context: Context;
  readonly #line: IrqLine;
  readonly #controller: Controller;
  readonly #layout: Layout;
  readonly #admin: AdminQueue;
  readonly #io: IoQueue;
  readonly #events: Events;
  readonly #namespaceId: number;
  readonly #timeoutTicks: number;
  /** Requests that came during a reset. */
  readonly #backlog: Uint32Array;
  #backlogCount = 0;
  #namespace: Namespace | undefined;
  /** The I/O queue exists. */
  #up = false;
  #watching = false;
  #aborts = 0;
  #maxAborts = 1;
  #resets = 0;
  #lastResetMicros = 0;

  /** Finds the controller; `start` brings it up. */
  constructor(context: Context) {
    this.#context = context;
    const regs = context.window("bar0");
    const memory = context.dma("queues");
    const option = (name: string, fallback: number): number => Number(context.options[name] ?? fallback);
    this.#namespaceId = option("namespace", 1);
    this.#timeoutTicks = ticks(option("commandTimeoutMs", 1_000));
    this.#controller = new Controller(regs, context.clock);
    this.#layout = layOut(memory, this.#controller.capabilities, option("queueDepth", 64));
    this.#admin = new AdminQueue(memory, regs, this.#layout, this.#controller);
    this.#io = new IoQueue(memory, regs, context.queue("io"), this.#layout, this.#controller);
    // In a turn of its own, so that what it throws is this driver's failure.
    this.#events = new Events(context, this.#admin, () => { context.clock.after(0, () => this.#refresh()); });
    this.#backlog = new Uint32Array(this.#layout.depth * requestWords);
    this.#line = context.irq("msix0");
    this.#line.attach(() => this.#interrupt());
    context.queue("io").onRequests((words, count) => this.#request(words, count));
  }

  async start(): Promise<void> {
    // Admin commands of the start have their deadline too.
    this.#watch();
    this.#ready(await bringUp(this.#controller, this.#admin, this.#io, this.#layout, this.#namespaceId));
  }

  identify(): Namespace & { readonly queueDepth: number } {
    const namespace = this.#namespace;
    if (namespace === undefined) throw new Error("identify before start");
    return { ...namespace, queueDepth: this.#layout.depth };
  }

  #request(words: Uint32Array, count: number): void {
    if (!this.#up) return this.#keep(words, count);
    this.#io.submit(words, count);
    this.#watch();
  }

  /**
   * The message says that completions were written before it (7.5). What comes between the last look and `ack` is a message
   * of its own, which the bus keeps; the second look mostly finds it first, and then that interrupt finds nothing.
   */
  #interrupt(): void {
    this.#admin.reap();
    this.#io.reap();
    this.#line.ack();
    this.#io.reap();
  }

  #ready({ controller, namespace }: Disk): void {
    this.#adopt(namespace);
    this.#maxAborts = controller.maxAborts;
    this.#aborts = 0;
    this.#up = true;
    this.#events.arm(controller);
    const count = this.#backlogCount;
    this.#backlogCount = 0;
    if (count > 0) this.#request(this.#backlog, count);
    this.#watch();
  }

  #keep(words: Uint32Array, count: number): void {
    const { depth } = this.#layout;
    if (this.#backlogCount + count > depth) throw new Error(`a request beyond the ${depth} that this driver takes at once`);
    this.#backlog.set(words.subarray(0, count * requestWords), this.#backlogCount * requestWords);
    this.#backlogCount += count;
  }

  /** Looks after commands that are out, every `tickMs` while there are any. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#context.clock.after(tickMs, () => this.#tick());
  }

  #tick(): Promise<void> | undefined {
    this.#watching = false;
    this.#io.tick++;
    this.#admin.tick++;
    // An interrupt that was lost costs a tick, not a reset.
    this.#admin.reap();
    if (this.#up) {
      // Not by this driver: it may have lost its power, and with that its cache, which only the shadow can make good, after a restart.
      if (this.#controller.failed()) {
        throw new AirlockError("HardwareLost", "the NVMe controller has failed, or was reset by something else; what its cache held may be lost");
      }
      this.#io.reap();
      const why = this.#whyReset();
      if (why !== undefined) return this.#reset(why);
      this.#abortOverdue();
    } else if (this.#admin.overdue(adminTicks)) {
      this.#admin.drop();
    }
    if (!this.#up || this.#io.outstanding > 0 || this.#admin.busy) this.#watch();
    return undefined;
  }

  #whyReset(): string | undefined {
    if (this.#admin.overdue(adminTicks)) return "an admin command did not complete";
    if (this.#io.oldestTicks() >= this.#timeoutTicks + abortGraceTicks) return "a command was not completed, nor aborted when asked";
    return undefined;
  }

  /** Asks for the abort of commands that are out too long, as many at once as the controller takes (5.1). */
  #abortOverdue(): void {
    while (this.#aborts < this.#maxAborts && this.#admin.hasRoom) {
      const id = this.#io.nextToAbort(this.#timeoutTicks);
      if (id < 0) return;
      this.#aborts++;
      this.#context.log.warn(`command ${id} has timed out; aborting it`);
      // Whether it could be aborted is not asked: either it completes, or its grace ends.
      this.#admin.submit({ opcode: AdminOpcode.abort, cdw10: (id << 16) | ioQueueId }, () => { this.#aborts--; });
    }
  }

  /** Starts the controller anew; the shadow sends again what it had. */
  async #reset(why: string): Promise<void> {
    const now = this.#context.clock.nowMicros();
    if (now - this.#lastResetMicros > resetPeriodMs * 1_000) this.#resets = 0;
    this.#lastResetMicros = now;
    if (++this.#resets > maxResets) {
      throw new AirlockError("HardwareLost", `${why}, and ${maxResets} resets within ${resetPeriodMs / 1_000} s did not help`);
    }
    this.#up = false;
    this.#context.log.warn(`${why}; resetting the controller`);
    this.#events.disarm();
    await this.start();
  }

  /** The controller says that its namespaces have changed: looks again, then tells. */
  async #refresh(): Promise<void> {
    if (!this.#up) return;
    this.#watch();
    try {
      this.#adopt((await identify(this.#admin, this.#namespaceId)).namespace);
    } catch (error) {
      // A reset that came between has ended it, and looks by itself.
      if (this.#up) throw error;
      return;
    }
    this.#context.emit("notice", { kind: "changed", code: 0 });
  }

  /** Requests that are out were made for the blocks of before: only the number of blocks may change under a driver. */
  #adopt(namespace: Namespace): void {
    if (this.#namespace !== undefined && namespace.blockShift !== this.#namespace.blockShift) {
      throw new Error(`namespace ${this.#namespaceId} has changed its blocks to 2^${namespace.blockShift} bytes`);
    }
    this.#namespace = namespace;
    this.#io.configure(namespace);
  }
}

/** Ticks that are over only when the time has passed, wherever between two of them it began. */
function ticks(timeMs: number): number {
  return Math.ceil(timeMs / tickMs) + 1;
}
