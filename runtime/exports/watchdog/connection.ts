/** One client of the watchdog export: its lines are done one after the other, events come in between. */
import type { Socket } from "node:net";
import type { WatchdogClient } from "../../classes/watchdog/client.ts";
import { answer } from "./commands.ts";

/** A line is a command of a few words. */
const mostLineBytes = 256;
/** Lines that may wait while one is done; then the socket is not read. */
const mostLines = 64;
/** What may wait for a client that does not read; whoever has more is cut off. */
const mostUnreadBytes = 64 * 1024;

export class WatchdogConnection {
  readonly #socket: Socket;
  readonly #client: WatchdogClient;
  readonly #note: (text: string) => void;
  readonly #lines: string[] = [];
  /** The beginning of a line whose end has not come yet. */
  #partial = "";
  #isBusy = false;
  #hasEnded = false;

  /** The connection closes the client when it is over. */
  constructor(socket: Socket, client: WatchdogClient, note: (text: string) => void) {
    this.#socket = socket;
    this.#client = client;
    this.#note = note;
  }

  /** From now on its lines are done. */
  begin(): void {
    const socket = this.#socket;
    this.#client.on(({ kind }) => this.#send(`event ${kind}`));
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => this.#take(text));
    // What it had said in full is still done: a program may write "stop" and leave.
    for (const over of ["end", "close"] as const) socket.on(over, () => this.#end());
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop()!;
    const longest = Math.max(this.#partial.length, ...lines.map(({ length }) => length));
    if (longest > mostLineBytes) return this.#cutOff(`a line has more than ${mostLineBytes} bytes`);
    this.#lines.push(...lines.filter((line) => line.trim() !== ""));
    if (this.#lines.length > mostLines) this.#socket.pause();
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
      this.#send(await answer(line, this.#client));
      if (this.#lines.length < mostLines && this.#socket.isPaused()) this.#socket.resume();
    }
    this.#isBusy = false;
    this.#finish();
  }

  #send(line: string): void {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(`${line}\n`);
    if (socket.writableLength > mostUnreadBytes) this.#cutOff("it does not read its answers");
  }

  #cutOff(why: string): void {
    this.#note(`a client was cut off: ${why}`);
    this.#lines.length = 0;
    this.#socket.destroy();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#finish();
  }

  #finish(): void {
    if (!this.#hasEnded || this.#isBusy) return;
    this.#client.close();
    if (!this.#socket.destroyed) this.#socket.end();
  }
}
