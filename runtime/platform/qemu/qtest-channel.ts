/** The two FIFOs of a `-qtest` connection, opened for blocking use by the hardware's thread. */
import fs from "node:fs";
import { AirlockError, errorText } from "../../api/errors.ts";

/** Both directions of a qtest connection; every method blocks. */
export interface QtestChannel {
  /** Hands over all of `text` (ASCII). @throws AirlockError HardwareLost when nobody reads any more */
  write(text: string): void;
  /** Waits for at least one byte; the number of bytes put at `offset`, 0 when QEMU is gone. */
  read(into: Uint8Array, offset: number): number;
  close(): void;
}

/** Where the FIFOs are: plain data, so that another thread can open them. */
export interface QtestFifos {
  /** Airlock writes, QEMU reads. */
  readonly commandPath: string;
  /** QEMU writes, Airlock reads. */
  readonly replyPath: string;
}

/**
 * Opens the FIFOs of a QEMU that answers already (QemuProcess.start has seen to that). Never waits: when QEMU is dead by
 * now, the first use says so.
 * @throws AirlockError HardwareLost when the FIFOs are gone
 */
export function openFifos(fifos: QtestFifos): QtestChannel {
  let commands = -1;
  let replies = -1;
  try {
    commands = openOneWay(fifos.commandPath, fs.constants.O_WRONLY);
    replies = openOneWay(fifos.replyPath, fs.constants.O_RDONLY);
  } catch (error) {
    if (commands >= 0) fs.closeSync(commands);
    throw new AirlockError("HardwareLost", `QEMU's qtest connection cannot be opened: ${errorText(error)}`, { platform: "qemu" }, { cause: error });
  }
  return new FifoChannel(commands, replies);
}

class FifoChannel implements QtestChannel {
  readonly #commands: number;
  readonly #replies: number;
  #open = true;

  constructor(commands: number, replies: number) {
    this.#commands = commands;
    this.#replies = replies;
  }

  write(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    try {
      for (let at = 0; at < bytes.length;) at += fs.writeSync(this.#commands, bytes, at);
    } catch (error) {
      throw new AirlockError("HardwareLost", `QEMU is gone: ${errorText(error)}`, { platform: "qemu" }, { cause: error });
    }
  }

  read(into: Uint8Array, offset: number): number {
    try {
      return fs.readSync(this.#replies, into, offset, into.length - offset, null);
    } catch (error) {
      throw new AirlockError("HardwareLost", `QEMU is gone: ${errorText(error)}`, { platform: "qemu" }, { cause: error });
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    fs.closeSync(this.#commands);
    fs.closeSync(this.#replies);
  }
}

/**
 * A FIFO opened in one direction waits for the other end, forever when QEMU died meanwhile. Holding it open both ways for
 * a moment avoids that, and leaves end-of-file and broken pipe to tell of QEMU's death.
 */
function openOneWay(fifo: string, flags: number): number {
  const both = fs.openSync(fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  try {
    if (!fs.fstatSync(both).isFIFO()) throw new Error(`${fifo} is not a FIFO`);
    return fs.openSync(fifo, flags);
  } finally {
    fs.closeSync(both);
  }
}
