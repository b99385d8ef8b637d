/** A worker thread that runs a few lines with the addon, for tests of what threads do to each other. */
import path from "node:path";
import { Worker } from "node:worker_threads";

/** Longest wait for a thread's next message. */
const messageMs = 20_000;

/** A worker thread; terminated when the test disposes it. */
export class TestThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #messages: unknown[] = [];
  #wake: () => void = () => undefined;
  #failure: unknown;

  /** `code` is a function body with `addon`, `data` and `post(message)`; `await` may be used. */
  constructor(code: string, data: unknown) {
    const prelude = `const { workerData, parentPort } = require("node:worker_threads");
      const addon = require("node-gyp-build")(workerData.native), data = workerData.data, post = (message) => parentPort.postMessage(message);`;
    const native = path.join(import.meta.dirname, "../../native");
    this.#worker = new Worker(`${prelude}\n(async () => {${code}\n})();`, { eval: true, workerData: { native, data } });
    this.#worker.on("message", (message: unknown) => {
      this.#messages.push(message);
      this.#wake();
    });
    this.#worker.on("error", (error) => {
      this.#failure = error;
      this.#wake();
    });
  }

  post(message: unknown): void {
    this.#worker.postMessage(message);
  }

  /** The thread's next message. @throws what ended the thread, or Error after 20 s */
  async next(): Promise<unknown> {
    const endMs = performance.now() + messageMs;
    while (this.#messages.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) throw new Error(`the thread said nothing for ${messageMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#messages.shift();
  }

  /** Ends the thread wherever it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
