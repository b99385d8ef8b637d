/** Waits, without blocking the thread, until a starting QEMU answers on its qtest FIFOs. */
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { QtestFifos } from "./qtest-channel.ts";

export interface QtestWait {
  readonly timeoutMs: number;
  /** Why QEMU is gone, once it is. */
  gone(): string | undefined;
  /** Called when QEMU has answered, and so has all its sockets open. */
  opened(): Promise<void>;
}

/** QEMU starts in 40 ms: often enough not to be what a start waits for. */
const pollMs = 2;

/** Moves no time. */
const greeting = "clock_step 0\n";

/** The second is answered in a later turn of QEMU's loop than the first, when it has taken the connections that were waiting. */
const greetingsAfterOpened = 2;

/** Why QEMU does not answer; undefined when it does. No answer is left in the FIFO. */
export async function waitForQtest(fifos: QtestFifos, wait: QtestWait): Promise<string | undefined> {
  const deadline = performance.now() + wait.timeoutMs;
  const next = async (): Promise<string | undefined> => {
    if (wait.gone() !== undefined) return wait.gone();
    if (performance.now() >= deadline) return `no answer in ${wait.timeoutMs} ms`;
    await sleep(pollMs);
    return undefined;
  };
  const replies = fs.openSync(fifos.replyPath, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  let commands: number | undefined;
  try {
    while ((commands = openWriter(fifos.commandPath)) === undefined) {
      const problem = await next();
      if (problem !== undefined) return problem;
    }
    for (let i = 0; i <= greetingsAfterOpened; i++) {
      if (i === 1) await wait.opened();
      fs.writeSync(commands, greeting);
      const problem = await awaitReply(replies, next);
      if (problem !== undefined) return problem;
    }
    return undefined;
  } finally {
    fs.closeSync(replies);
    if (commands !== undefined) fs.closeSync(commands);
  }
}

/** Why there is no "OK"; `next` waits a little, or says why there is nothing to wait for. */
async function awaitReply(replies: number, next: () => Promise<string | undefined>): Promise<string | undefined> {
  for (let reply = ""; ;) {
    const text = readNow(replies);
    reply += text;
    if (reply.includes("\n")) return reply.startsWith("OK") ? undefined : `it answered "${reply.trim().slice(0, 80)}"`;
    const problem = text === "" ? await next() : undefined;
    if (problem !== undefined) return problem;
  }
}

/** Undefined while nobody has the FIFO open for reading. */
function openWriter(fifo: string): number | undefined {
  try {
    return fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENXIO") return undefined;
    throw error;
  }
}

/** What is there; "" when there is nothing, or no writer yet. */
function readNow(fd: number): string {
  const bytes = Buffer.alloc(256);
  try {
    return bytes.toString("latin1", 0, fs.readSync(fd, bytes, 0, bytes.length, null));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return "";
    throw error;
  }
}
