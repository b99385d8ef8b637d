/** QEMU's control socket: one command at a time, for what cannot be done as a CPU does it. Source: QEMU docs/interop/qmp-spec. Main thread. */
import net from "node:net";
import { AirlockError, errorText } from "../../api/errors.ts";

/** QEMU answers in milliseconds unless it is stopped. */
const answerMs = 2_000;

/** The longest answer to the commands used here is under 1 KiB; more is not for us. */
const maxAnswerBytes = 65_536;

/** Socket in the private directory. */
export const qmpSocketName = "qmp";

/**
 * Connects, performs one command, and disconnects: QEMU serves one client at a time, and none of us stays.
 * @throws AirlockError HardwareLost when QEMU does not answer, InvalidArgument when it refuses, in its own words
 */
export async function performQmp(socketPath: string, command: string, args: Readonly<Record<string, string | boolean>>): Promise<void> {
  const socket = net.connect(socketPath);
  try {
    const answers = readAnswers(socket);
    await answers.next();
    for (const request of [{ execute: "qmp_capabilities" }, { execute: command, arguments: args }]) {
      socket.write(`${JSON.stringify(request)}\n`);
      const { value } = await answers.next();
      if (value?.error !== undefined) throw new AirlockError("InvalidArgument", `QEMU refuses ${command}: ${value.error.slice(0, 200)}`, { platform: "qemu" });
    }
  } finally {
    socket.destroy();
  }
}

interface Answer {
  readonly error: string | undefined;
}

/** The greeting and the answers, without the events in between. Rejects when there is none in time. */
async function* readAnswers(socket: net.Socket): AsyncGenerator<Answer, undefined> {
  let text = "";
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`no answer in ${answerMs} ms`)));
  try {
    for await (const chunk of socket) {
      text += String(chunk);
      if (text.length > maxAnswerBytes) throw new Error("an answer without end");
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        const message = JSON.parse(line) as { event?: unknown; error?: { desc?: unknown } };
        if (message.event === undefined) yield { error: message.error === undefined ? undefined : String(message.error.desc) };
      }
    }
    throw new Error("it hung up");
  } catch (error) {
    throw new AirlockError("HardwareLost", `QEMU's control socket: ${errorText(error)}`, { platform: "qemu" }, { cause: error });
  }
}
