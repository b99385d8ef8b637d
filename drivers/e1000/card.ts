/** The driver as a whole: bringing the card up, its configuration, interrupts, link changes. Source: manual 317453, section 14. */
import { AirlockError, type DriverContext, type IrqLine, type RegisterWindow } from "airlock/driver";
import { TransmitStatus, headerBytes, net } from "airlock/driver/net";
import { readPermanentMac } from "./eeprom.ts";
import { clearAddresses, hashMulticast, writeAddress, writeMulticast } from "./filters.ts";
import { type LinkState, readLink, readStatus, startNegotiation } from "./link.ts";
import { ReceiveRing } from "./receive-ring.ts";
import {
  Cause, Ctrl, Offset, Rctl, Tctl, allOnes, bufferSizes, descriptorBytes, longestPlainFrame, packetGaps, ringUnit, throttleMost, throttleUnitNanos,
} from "./registers.ts";
import { Statistics, type Totals } from "./statistics.ts";
import { TransmitRing } from "./transmit-ring.ts";

type Context = DriverContext<typeof net>;

export interface Settings {
  readonly up: boolean;
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
  readonly mtu: number;
  readonly mac: number;
  readonly multicast: Uint8Array;
}

/** Largest payload of the class; with its header it fits the device's largest buffer, 16 KiB. */
export const maxMtu = 9_216;
const vlanTagBytes = 4;
const checkBytes = 4;

const { words: requestWords, at: { tag: atTag } } = net.queues.transmit.request;
/** Which bits of RCTL say how large buffers are. */
const sizeMask = bufferSizes.reduce((mask, [, bits]) => mask | bits, 0);

const causes = Cause.transmitted | Cause.linkChange | Cause.sequence | Cause.fewDescriptors | Cause.overrun | Cause.received;

/** Looks at CTRL.RST, which clears itself after a microsecond (13.4.1), and the time between them. */
const maxResetLooks = 100;
const resetLookMs = 0.1;
/** After TCTL.EN is cleared the frame that is being sent goes on to its end: 1518 bytes take 1.2 ms at 10 Mbit/s. */
const drainMs = 2;
/** How often frames that are out are looked after. Idle drivers have no timer. */
const tickMs = 500;
/** A link at 10 Mbit/s sends a full ring in 0.4 s, so that two ticks without any completion are a transmitter that hangs. */
const maxStillTicks = 2;
/** Hangs in a row that are mended here; then the driver gives up and is restarted. */
const maxHangs = 3;

export class Card {
  readonly #context: Context;
  readonly #regs: RegisterWindow;
  readonly #line: IrqLine;
  readonly #receive: ReceiveRing;
  readonly #transmit: TransmitRing;
  readonly #permanentMac: number;
  readonly #statistics: Statistics;
  #link: LinkState = { up: false, speedMbps: 0, fullDuplex: false };
  #up = false;
  #rctl = 0;
  #multicast: Uint32Array | undefined;
  /** Frames are being taken back from the transmitter, which is off. */
  #drainingTransmit: Promise<void> | undefined;
  #watching = false;
  #stillTicks = 0;
  #hangs = 0;

  /** Resets the card, whatever state a predecessor left it in. @throws AirlockError HardwareLost, HardwareTimeout */
  static async open(context: Context): Promise<Card> {
    const regs = context.window("bar0");
    readStatus(regs);
    await reset(regs, context);
    const mac = await readPermanentMac(regs, context.clock);
    await startNegotiation(regs, context.clock);
    return new Card(context, mac);
  }

  /** Programs the card that was just reset; `configure` switches it on. */
  private constructor(context: Context, permanentMac: number) {
    const regs = context.window("bar0");
    const memory = context.dma("queues");
    const entries = (name: string): number => Math.floor(Number(context.options[name] ?? 256) / ringUnit) * ringUnit;
    const transmitBytes = entries("transmitRing") * descriptorBytes;
    const neededBytes = transmitBytes + entries("receiveRing") * descriptorBytes;
    if (neededBytes > memory.sizeBytes) {
      const has = `DMA memory "${memory.name}" has ${memory.sizeBytes} bytes`;
      throw new AirlockError("InvalidArgument", `${has}, these rings need ${neededBytes}; make them smaller`);
    }
    this.#context = context;
    this.#regs = regs;
    this.#line = context.irq("intx");
    this.#permanentMac = permanentMac;
    this.#transmit = new TransmitRing(memory, 0, entries("transmitRing"), regs, context.queue("transmit"));
    this.#receive = new ReceiveRing(memory, transmitBytes, entries("receiveRing"), regs, context.queue("receive"));
    this.#transmit.program();
    this.#receive.program();
    program(regs, Number(context.options["interruptsPerSecond"] ?? 10_000));
    this.#statistics = new Statistics(regs);
    this.#link = readLink(regs);
    context.queue("transmit").onRequests((words, count) => this.#send(words, count));
    context.queue("receive").onRequests((words, count) => this.#receive.post(words, count));
    this.#line.attach(() => this.#interrupt());
    regs.write32(Offset.interruptMaskSet, causes);
  }

  identify(): { mac: number; maxMtu: number; transmitDepth: number; receiveDepth: number } {
    return { mac: this.#permanentMac, maxMtu, transmitDepth: this.#transmit.depth, receiveDepth: this.#receive.depth };
  }

  async configure(settings: Settings): Promise<void> {
    const { up, mac, multicast } = settings;
    readStatus(this.#regs);
    writeAddress(this.#regs, mac === 0 ? this.#permanentMac : mac);
    const table = hashMulticast(multicast);
    writeMulticast(this.#regs, table, this.#multicast);
    this.#multicast = table;
    this.#setReceive(settings);
    if (!up && this.#up) {
      this.#up = false;
      await this.#takeBack(TransmitStatus.dropped);
    }
    this.#up = up;
    this.#setTransmit();
  }

  async getLink(): Promise<LinkState> {
    await this.#checkLink();
    return this.#link;
  }

  statistics(): Totals {
    readStatus(this.#regs);
    const totals = this.#statistics.read();
    return { ...totals, receiveErrors: totals.receiveErrors + this.#receive.dropped };
  }

  #send(words: Uint32Array, count: number): void {
    if (!this.#up || !this.#link.up || this.#drainingTransmit !== undefined) return this.#refuse(words, count);
    this.#transmit.send(words, count);
    this.#watch();
  }

  /** Frames that cannot leave now: whoever sent them has better uses for them than that they wait here. */
  #refuse(words: Uint32Array, count: number): void {
    const status = this.#up ? TransmitStatus.linkDown : TransmitStatus.dropped;
    const queue = this.#context.queue("transmit");
    for (let at = 0; at < count * requestWords; at += requestWords) queue.complete(words[at + atTag]!, status);
  }

  /**
   * Reading the causes clears them and takes the line back (13.4.17). What happens from then on raises it again, and it is
   * delivered again after `ack`.
   */
  #interrupt(): Promise<void> | undefined {
    const icr = this.#regs.read32(Offset.interruptCause);
    if (icr === allOnes) readStatus(this.#regs);
    this.#receive.drain();
    this.#reclaim();
    const draining = (icr & (Cause.linkChange | Cause.sequence)) === 0 ? undefined : this.#checkLink();
    this.#line.ack();
    return draining;
  }

  #reclaim(): void {
    if (this.#transmit.reclaim() === 0) return;
    this.#stillTicks = 0;
    this.#hangs = 0;
  }

  /** Looks at the link and tells of a change. Frames in a transmitter without a link would stay there: they are taken back. */
  #checkLink(): Promise<void> | undefined {
    const before = this.#link;
    const link = readLink(this.#regs);
    if (link.up === before.up && link.speedMbps === before.speedMbps && link.fullDuplex === before.fullDuplex) return undefined;
    this.#link = link;
    this.#context.emit("link", link);
    if (!link.up) return this.#takeBack(TransmitStatus.linkDown);
    this.#setTransmit();
    return undefined;
  }

  /** Switches the transmitter off and completes what it had. */
  #takeBack(status: number): Promise<void> {
    this.#drainingTransmit ??= (async () => {
      this.#regs.write32(Offset.transmitControl, Tctl.padShort);
      await this.#context.clock.sleep(drainMs);
      this.#transmit.reclaim();
      this.#transmit.abandon(status);
      this.#drainingTransmit = undefined;
      this.#setTransmit();
    })();
    return this.#drainingTransmit;
  }

  #setTransmit(): void {
    if (this.#drainingTransmit !== undefined) return;
    const on = this.#up && this.#link.up ? Tctl.enable : 0;
    this.#regs.write32(Offset.transmitControl, on | Tctl.padShort | Tctl.retries | (this.#link.fullDuplex ? Tctl.windowFull : Tctl.windowHalf));
  }

  /** The receiver is stopped while its buffers change in size, and otherwise left running. */
  #setReceive({ up, promiscuous, allMulticast, mtu }: Settings): void {
    const frameBytes = mtu + headerBytes + vlanTagBytes;
    const [bufferBytes, sizeBits] = bufferSizes.find(([size]) => size >= frameBytes + checkBytes)!;
    const rctl = sizeBits | Rctl.broadcast | Rctl.stripCheck | (up ? Rctl.enable : 0)
      | (promiscuous ? Rctl.unicastPromiscuous | Rctl.multicastPromiscuous : 0) | (allMulticast ? Rctl.multicastPromiscuous : 0)
      | (frameBytes + checkBytes > longestPlainFrame ? Rctl.longPackets : 0);
    if (((rctl ^ this.#rctl) & sizeMask) !== 0 && (this.#rctl & Rctl.enable) !== 0) {
      this.#regs.write32(Offset.receiveControl, this.#rctl & ~Rctl.enable);
      // Posted writes have arrived when a read completes; what was received until then fits the sizes of before.
      readStatus(this.#regs);
      this.#receive.drain();
    }
    this.#receive.setSizes(bufferBytes, frameBytes);
    if (rctl !== this.#rctl) this.#regs.write32(Offset.receiveControl, rctl);
    this.#rctl = rctl;
  }

  /** Looks after frames that are out, every `tickMs` while there are any. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#context.clock.after(tickMs, () => this.#tick());
  }

  #tick(): Promise<void> | undefined {
    this.#watching = false;
    readStatus(this.#regs);
    // An interrupt that was lost costs a tick.
    this.#receive.drain();
    this.#reclaim();
    if (this.#transmit.used === 0) {
      this.#stillTicks = 0;
      return undefined;
    }
    this.#watch();
    if (++this.#stillTicks <= maxStillTicks || this.#drainingTransmit !== undefined) return undefined;
    this.#stillTicks = 0;
    if (++this.#hangs > maxHangs) {
      throw new AirlockError("HardwareLost", `the transmitter of the e1000 hangs, and ${maxHangs} restarts of it did not help`);
    }
    this.#context.log.warn("the transmitter hangs; starting it anew");
    return this.#takeBack(TransmitStatus.dropped);
  }
}

/** Stops everything, then resets all but the PHY, whose link stays (13.4.1). */
async function reset(regs: RegisterWindow, { clock }: Context): Promise<void> {
  regs.write32(Offset.interruptMaskClear, allOnes);
  regs.write32(Offset.receiveControl, 0);
  regs.write32(Offset.transmitControl, 0);
  regs.write32(Offset.control, Ctrl.reset);
  for (let look = 0; (regs.read32(Offset.control) & Ctrl.reset) !== 0; look++) {
    if (look === maxResetLooks) throw new AirlockError("HardwareTimeout", `the e1000 is still in reset after ${maxResetLooks * resetLookMs} ms`);
    await clock.sleep(resetLookMs);
  }
  // Not every device's reset reaches all of these.
  regs.write32(Offset.interruptMaskClear, allOnes);
  regs.read32(Offset.interruptCause);
}

/** Everything that does not depend on the configuration (14.3 to 14.5). No flow control: a full ring drops, it does not stop the link. */
function program(regs: RegisterWindow, interruptsPerSecond: number): void {
  regs.write32(Offset.control, Ctrl.setLinkUp | Ctrl.autoSpeed);
  for (const offset of [Offset.flowAddressLow, Offset.flowAddressHigh, Offset.flowType, Offset.flowTimer]) regs.write32(offset, 0);
  clearAddresses(regs);
  const { receiveDelay, receiveAbsoluteDelay, transmitDelay, transmitAbsoluteDelay, receiveChecksum } = Offset;
  for (const offset of [receiveDelay, receiveAbsoluteDelay, transmitDelay, transmitAbsoluteDelay, receiveChecksum]) regs.write32(offset, 0);
  regs.write32(Offset.transmitGap, packetGaps);
  const units = interruptsPerSecond === 0 ? 0 : 1e9 / (interruptsPerSecond * throttleUnitNanos);
  regs.write32(Offset.interruptThrottling, Math.min(throttleMost, Math.round(units)));
}
