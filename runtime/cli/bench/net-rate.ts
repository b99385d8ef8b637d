/** Frames per second through a network interface, kept as busy as batches of one size keep it. */
import { AirlockError } from "../../api/errors.ts";
import type { NetInterface, OpenInterface } from "../../classes/net/interface.ts";
import type { BroughtUp } from "../bring-up.ts";

/** Frames under way at most: as many as an e1000's ring holds. */
export const windowFrames = 255;
/** No frame takes as long as this, on the slowest computer; frames that do are lost. */
const patienceMs = 10_000;
const newsMs = 50;

/** What is sent, and how it is counted. */
export interface Traffic {
  /** Gives a batch to the driver; false when it takes none now. */
  send(): boolean;
  given(): number;
  /** Frames that are over and done with. */
  done(): number;
  readonly batch: number;
  /** Frames under way at most, if not `windowFrames`. */
  readonly window?: number;
  /** Waits until it may be worth looking again; a turn of the event loop when left out. */
  wait?(): Promise<void>;
}

/** A machine's interface, and how its client waits. */
export interface BenchInterface {
  readonly port: NetInterface;
  /** Resolves when frames arrived or there is room again; or after `newsMs`, so that frames that are lost are noticed. */
  news(): Promise<void>;
}

/** Frames that are done per second. @throws AirlockError HardwareTimeout when some never are */
export async function frameRate(ms: number, { send, given, done, batch, window = windowFrames, wait = turn }: Traffic): Promise<number> {
  const start = performance.now();
  const before = done();
  const elapsedMs = (): number => performance.now() - start;
  const patience = (): void => {
    if (elapsedMs() <= ms + patienceMs) return;
    throw new AirlockError("HardwareTimeout", `the driver did not send ${given() - done()} frames within ${patienceMs} ms; \`airlock run\` with this machine shows what it says`);
  };
  for (; elapsedMs() < ms || done() === before; patience()) { // a loaded computer may get nothing done in some ms
    while (given() - done() + batch <= window) if (!send()) break;
    await wait();
  }
  const rate = ((done() - before) / elapsedMs()) * 1000;
  for (; given() > done(); patience()) await turn();
  return rate;
}

/** A machine's one network interface, up and with a link. */
export async function openInterface({ machine }: BroughtUp): Promise<BenchInterface> {
  const open = machine.client([...machine.drivers.keys()][0]!) as OpenInterface;
  let tell = (): void => undefined;
  const port = open({ received: () => tell(), room: () => tell(), link: () => undefined, ended: () => undefined });
  await port.configure({ up: true });
  const start = performance.now();
  while (!port.link.up) {
    if (performance.now() - start > patienceMs) throw new AirlockError("HardwareTimeout", `the card has no link after ${patienceMs} ms`);
    await turn();
  }
  const news = (): Promise<void> => new Promise((resolve) => {
    const timer = setTimeout(resolve, newsMs);
    tell = () => { clearTimeout(timer); resolve(); };
  });
  return { port, news };
}

/** Frames per second that the interface sends. */
export function transmitRate(port: NetInterface, ms: number, frame: Uint8Array, batch: number, how: Pick<Traffic, "window" | "wait"> = {}): Promise<number> {
  const frames = Array.from({ length: batch }, () => frame);
  let given = port.counters.sent;
  return frameRate(ms, {
    ...how, batch, given: () => given, done: () => port.counters.sent,
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
