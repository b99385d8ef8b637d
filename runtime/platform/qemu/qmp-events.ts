/** QEMU's control socket as a source of events: a connection of its own that stays. Source: QEMU docs/interop/qmp-spec. Main thread. */
import net from "node:net";
import { AirlockError, errorText } from "../../api/errors.ts";

/** QEMU greets in milliseconds unless it is stopped. */
const greetingMs = 2_000;

/** An event is some 200 bytes; what does not end within this is not for us, and the connection is given up. */
const maxLineBytes = 65_536;

/** Socket in the private directory. */
export const qmpEventsSocketName = "qmp-events";

export class QmpEvents implements Disposable {
  readonly #socket: net.Socket;
  readonly #event: (name: string) => void;
  #text = "";
  #greeted: (problem?: Error) => void = () => undefined;

  private constructor(socketPath: string, event: (name: string) => void) {
    this.#event = event;
    this.#socket = net.connect(socketPath);
    this.#socket.setEncoding("utf8");
    this.#socket.on("data", (chunk: string) => this.#receive(chunk));
    // The end of QEMU is noticed by its exit; here it only ends the events.
    this.#socket.on("error", (error) => this.#greeted(error));
    this.#socket.on("close", () => this.#greeted(new Error("it hung up")));
  }

  /**
   * Connects and hears: calls back with the name of each event from now on.
   * @throws AirlockError HardwareLost when QEMU does not greet
   */
  static async open(socketPath: string, event: (name: string) => void): Promise<QmpEvents> {
    const events = new QmpEvents(socketPath, event);
    try {
      await events.#ready();
      return events;
    } catch (error) {
      events[Symbol.dispose]();
      throw new AirlockError("HardwareLost", `QEMU's event socket: ${errorText(error)}`, { platform: "qemu" }, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer in ${greetingMs} ms`)), greetingMs);
      this.#greeted = (problem) => {
        clearTimeout(timer);
        if (problem === undefined) resolve();
        else reject(problem);
      };
      this.#socket.write(`${JSON.stringify({ execute: "qmp_capabilities" })}\n`);
    });
  }

  #receive(chunk: string): void {
    this.#text += chunk;
    const lines = this.#text.split("\n");
    this.#text = lines.pop()!;
    if (this.#text.length > maxLineBytes) this.#socket.destroy(new Error("a line without end"));
    for (const line of lines) this.#take(line);
  }

  #take(line: string): void {
    let message: { event?: unknown; return?: unknown; error?: unknown } | null;
    try {
      message = JSON.parse(line) as typeof message;
    } catch (error) {
      this.#socket.destroy(new Error(`not JSON: ${errorText(error)}`));
      return;
    }
    if (typeof message?.event === "string") this.#event(message.event);
    else if (message?.return !== undefined) this.#greeted();
    else if (message?.error !== undefined) this.#greeted(new Error("it refuses"));
  }
}
