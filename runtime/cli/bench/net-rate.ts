/** Frames per second through a network interface, kept as busy as batches of one size keep it. */
import { AirlockError } from "../../api/errors.ts";
import type { NetInterface, OpenInterface } from "../../classes/net/interface.ts";
import type { BroughtUp } from "../bring-up.ts";

/** Frames under way at most: as many as an e1000's ring holds. */
export const windowFrames = 255;
/** No frame takes as long as this, on the slowest computer; frames that do are lost. */
const patienceMs = 10_000;

/** What is sent, and how it is counted. */
export interface Traffic {
  /** Gives a batch to the driver; false when it takes none now. */
  send(): boolean;
  given(): number;
  /** Frames that are over and done with. */
  done(): number;
  readonly batch: number;
  /** Frames under way at most, if fewer than `windowFrames`. */
  readonly window?: number;
}

/** Frames that are done per second. @throws AirlockError HardwareTimeout when some never are */
export async function frameRate(ms: number, { send, given, done, batch, window = windowFrames }: Traffic): Promise<number> {
  const start = performance.now();
  const before = done();
  const elapsedMs = (): number => performance.now() - start;
  const patience = (): void => {
    if (elapsedMs() <= ms + patienceMs) return;
    throw new AirlockError("HardwareTimeout", `the driver did not send ${given() - done()} frames within ${patienceMs} ms; \`airlock run\` with this machine shows what it says`);
  };
  for (; elapsedMs() < ms || done() === before; patience()) { // a loaded computer may get nothing done in some ms
    while (given() - done() + batch <= window) if (!send()) break;
    await turn();
  }
  const rate = ((done() - before) / elapsedMs()) * 1000;
  for (; given() > done(); patience()) await turn();
  return rate;
}

/** A machine's one network interface, up and with a link. */
export async function openInterface({ machine }: BroughtUp): Promise<NetInterface> {
  const open = machine.client([...machine.drivers.keys()][0]!) as OpenInterface;
  const port = open({ received: () => undefined, room: () => undefined, link: () => undefined, ended: () => undefined });
  await port.configure({ up: true });
  const start = performance.now();
  while (!port.link.up) {
    if (performance.now() - start > patienceMs) throw new AirlockError("HardwareTimeout", `the card has no link after ${patienceMs} ms`);
    await turn();
  }
  return port;
}

/** Frames per second that the interface sends. */
export function transmitRate(port: NetInterface, ms: number, frame: Uint8Array, batch: number): Promise<number> {
  const frames = Array.from({ length: batch }, () => frame);
  let given = port.counters.sent;
  return frameRate(ms, {
    batch, given: () => given, done: () => port.counters.sent,
    send: () => {
      const taken = port.send(frames);
      given += taken;
      return taken > 0;
    },
  });
}

/** A frame to nobody: the far end drops it. */
export function strayFrame(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  bytes.set([0x02, 0, 0, 0, 0, 9, 0x02, 0, 0, 0, 0, 8, 0x88, 0xb6]);
  return bytes;
}

export function turn(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}
