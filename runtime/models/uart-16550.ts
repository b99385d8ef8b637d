/** 16550A UART as in a PC's serial port. Source: National Semiconductor PC16550D data sheet (June 1995). */
import type { DeviceDescription, IrqPin, Model, ModelDefinition, ModelEnvironment, SerialInputs, SerialPeer } from "../bus/device.ts";
import type { RegisterSpace } from "../bus/register-space.ts";
import { type FrameTimes, frameTimes } from "./uart-16550-frame.ts";
import { SerialWire } from "./uart-16550-line.ts";
import { UartReceiver } from "./uart-16550-receiver.ts";
import { Fcr, Ier, Iir, Lcr, Lsr, Mcr, Msr, Offset, firmwareDivisor, pcClockHz } from "./uart-16550-registers.ts";
import { UartTransmitter } from "./uart-16550-transmitter.ts";

/**
 * Registers, interrupts, modem signals and loopback; receiver, transmitter and wire have files of their own.
 *
 * As on a PC the interrupt reaches the bus only while the OUT2 pin is active, which loopback forces off (8.8, bit 4).
 * A break that is sent keeps characters from the peer while it lasts. Options: `clockHz` (the crystal), `flow` "none" or
 * "rts" (whether the peer waits for RTS before each character).
 */
class Uart16550 implements Model {
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  readonly #pin: IrqPin;
  readonly #peer: SerialPeer;
  readonly #clockHz: number;
  readonly #rtsFlow: boolean;
  readonly #wire: SerialWire;
  readonly #receiver: UartReceiver;
  readonly #transmitter: UartTransmitter;
  #divisor = firmwareDivisor;
  #interruptEnable = 0;
  #fifoOn = false;
  #lineControl = 0;
  #modemControl = 0;
  #scratch = 0;
  /** The modem inputs as wired from the peer, in their MSR bits. */
  #connected = 0;
  /** MSR as last computed: inputs above, changes below. */
  #modemStatus = 0;
  #times: FrameTimes;
  #shownOutputs = 0;
  #pinHigh = false;
  readonly #counters = {
    bytesReceived: 0, bytesTransmitted: 0, loopbackLostBytes: 0, breakLostBytes: 0, wireClearedBytes: 0, interrupts: 0,
  };

  constructor(description: DeviceDescription, environment: ModelEnvironment) {
    const { clock } = environment;
    const { clockHz, flow } = description.options;
    this.#clockHz = typeof clockHz === "number" && clockHz > 0 ? clockHz : pcClockHz;
    this.#rtsFlow = flow === "rts";
    this.#pin = environment.irq("line");
    this.#peer = environment.serial;
    this.#times = frameTimes(0, this.#divisor, this.#clockHz);
    const characterMicros = (): number => this.#times.characterMicros;
    const changed = (): void => this.#updatePin();
    this.#receiver = new UartReceiver(clock, characterMicros, changed);
    this.#transmitter = new UartTransmitter(clock, () => this.#times, (byte) => this.#transmitted(byte), changed);
    this.#wire = new SerialWire(clock, {
      characterMicros,
      mayStart: () => !this.#rtsFlow || (this.#modemPins() & Mcr.rts) !== 0,
      arrived: (byte, errors) => this.#arrived(byte, errors),
      hasRoom: () => this.#peer.ready?.(),
    });
    this.spaces = {
      regs: { read: (offset) => this.#read(offset), write: (offset, _width, value) => this.#write(offset, value & 0xff) },
    };
    this.#peer.connect({
      send: (bytes) => this.#wire.send(bytes),
      inputs: (signals) => this.#setInputs(signals),
      disturb: (kind) => this.#wire.disturb(kind),
    });
    this.#modemStatus = this.#connected;
  }

  /** The MR pin (table II): everything but divisor and scratch, which it leaves alone. */
  reset(): void {
    this.#counters.wireClearedBytes += this.#wire.clear();
    this.#receiver.reset();
    this.#transmitter.reset();
    this.#interruptEnable = 0;
    this.#fifoOn = false;
    this.#lineControl = 0;
    this.#modemControl = 0;
    this.#modemStatus = this.#connected;
    this.#reformat();
    this.#showOutputs();
    this.#updatePin();
  }

  /**
   * `bytesReceived` counts characters that came off the wire, of which `overrunBytes` were lost to a full receiver,
   * `discardedBytes` to a cleared one and `loopbackLostBytes` because loopback had the receiver off the wire.
   */
  statistics(): Readonly<Record<string, number>> {
    return {
      ...this.#counters,
      overrunBytes: this.#receiver.overruns, discardedBytes: this.#receiver.discarded, transmitOverrunBytes: this.#transmitter.overwritten,
    };
  }

  #read(offset: number): number {
    switch (offset) {
      case Offset.data: return this.#divisorLatch() ? this.#divisor & 0xff : this.#readData();
      case Offset.interruptEnable: return this.#divisorLatch() ? this.#divisor >> 8 : this.#interruptEnable;
      case Offset.interruptIdentification: return this.#readIdentification();
      case Offset.lineControl: return this.#lineControl;
      case Offset.modemControl: return this.#modemControl;
      case Offset.lineStatus: return this.#readLineStatus();
      case Offset.modemStatus: return this.#readModemStatus();
      default: return this.#scratch;
    }
  }

  /** Writes to the status registers are for factory tests only (8.4) and do nothing here. */
  #write(offset: number, value: number): void {
    switch (offset) {
      case Offset.data: return this.#divisorLatch() ? this.#setDivisor((this.#divisor & 0xff00) | value) : this.#writeData(value);
      case Offset.interruptEnable:
        return this.#divisorLatch() ? this.#setDivisor((this.#divisor & 0xff) | (value << 8)) : this.#writeInterruptEnable(value);
      case Offset.fifoControl: return this.#writeFifoControl(value);
      case Offset.lineControl: return this.#writeLineControl(value);
      case Offset.modemControl: return this.#writeModemControl(value & Mcr.all);
      case Offset.scratch: this.#scratch = value;
    }
  }

  #divisorLatch(): boolean {
    return (this.#lineControl & Lcr.divisorLatch) !== 0;
  }

  #readData(): number {
    const byte = this.#receiver.take();
    this.#updatePin();
    return byte;
  }

  #writeData(byte: number): void {
    this.#transmitter.write(byte);
    this.#updatePin();
  }

  /** Enabling the transmitter's interrupt while the holding register is empty raises it (8.4, bit 5). */
  #writeInterruptEnable(value: number): void {
    const newly = value & ~this.#interruptEnable;
    this.#interruptEnable = value & Ier.all;
    if ((newly & Ier.transmitterEmpty) !== 0) this.#transmitter.enabled();
    this.#updatePin();
  }

  /** Reading clears the transmitter's interrupt if that is what is identified (table IV). */
  #readIdentification(): number {
    const cause = this.#cause();
    if (cause === Iir.transmitterEmpty) this.#transmitter.identified();
    this.#updatePin();
    return cause | (this.#fifoOn ? Iir.fifosOn : 0);
  }

  /** Bit 0 must be set for the others to be programmed (8.5). */
  #writeFifoControl(value: number): void {
    this.#fifoOn = (value & Fcr.enable) !== 0;
    this.#receiver.configure(this.#fifoOn, this.#fifoOn ? value >> 6 : 0);
    this.#transmitter.configure(this.#fifoOn);
    if (this.#fifoOn && (value & Fcr.clearReceiver) !== 0) this.#receiver.clear();
    if (this.#fifoOn && (value & Fcr.clearTransmitter) !== 0) this.#transmitter.clear();
    this.#updatePin();
  }

  #writeLineControl(value: number): void {
    this.#lineControl = value;
    this.#reformat();
    this.#showOutputs();
  }

  #setDivisor(divisor: number): void {
    this.#divisor = divisor;
    this.#reformat();
  }

  /** A character on its way keeps the time it started with. */
  #reformat(): void {
    this.#times = frameTimes(this.#lineControl, this.#divisor, this.#clockHz);
  }

  #writeModemControl(value: number): void {
    this.#modemControl = value;
    this.#updateModemStatus();
    this.#showOutputs();
    this.#wire.start();
    this.#updatePin();
  }

  #readLineStatus(): number {
    const value = this.#receiver.status() | this.#transmitter.status();
    this.#receiver.clearErrors();
    this.#updatePin();
    return value;
  }

  #readModemStatus(): number {
    const value = this.#modemStatus;
    this.#modemStatus &= Msr.inputs;
    this.#updatePin();
    return value;
  }

  #setInputs(signals: SerialInputs): void {
    this.#connected = (signals.cts ? Msr.cts : 0) | (signals.dsr ? Msr.dsr : 0) | (signals.ri ? Msr.ri : 0) | (signals.dcd ? Msr.dcd : 0);
    this.#updateModemStatus();
    this.#updatePin();
  }

  /** Computes the inputs and which of them changed; the ring indicator counts only when it goes away (8.9, TERI). */
  #updateModemStatus(): void {
    const inputs = this.#loopback() ? this.#loopedInputs() : this.#connected;
    const before = this.#modemStatus & Msr.inputs;
    const changed = (inputs ^ before) >> 4;
    const rising = (inputs & ~before) >> 4;
    this.#modemStatus = inputs | (this.#modemStatus & Msr.deltas) | (changed & ~(rising & Msr.trailingEdgeRi));
  }

  #loopback(): boolean {
    return (this.#modemControl & Mcr.loopback) !== 0;
  }

  /** In loopback the outputs of MCR are the inputs of MSR: DTR is DSR, RTS is CTS, OUT1 is RI, OUT2 is DCD (8.8, bit 4). */
  #loopedInputs(): number {
    const out = this.#modemControl;
    return ((out & Mcr.dtr) !== 0 ? Msr.dsr : 0) | ((out & Mcr.rts) !== 0 ? Msr.cts : 0)
      | ((out & Mcr.out1) !== 0 ? Msr.ri : 0) | ((out & Mcr.out2) !== 0 ? Msr.dcd : 0);
  }

  /** The modem output pins as MCR bits: inactive in loopback. */
  #modemPins(): number {
    return this.#loopback() ? 0 : this.#modemControl;
  }

  /** Loopback also sets the data line to marking, which ends a break (8.8, bit 4). */
  #showOutputs(): void {
    const sendsBreak = this.#loopback() ? 0 : this.#lineControl & Lcr.break;
    const outputs = (this.#modemPins() & (Mcr.dtr | Mcr.rts)) | sendsBreak;
    if (outputs === this.#shownOutputs) return;
    this.#shownOutputs = outputs;
    this.#peer.outputs({ dtr: (outputs & Mcr.dtr) !== 0, rts: (outputs & Mcr.rts) !== 0, break: (outputs & Lcr.break) !== 0 });
  }

  /** A character left the shift register. */
  #transmitted(byte: number): void {
    const character = byte & this.#times.dataMask;
    if (this.#loopback()) return this.#receiver.accept(character, 0);
    if ((this.#lineControl & Lcr.break) !== 0) {
      this.#counters.breakLostBytes++;
      return;
    }
    this.#counters.bytesTransmitted++;
    this.#peer.receive(character);
  }

  /** A character came off the wire; parity is looked at only when LCR says that there is any. */
  #arrived(byte: number, errors: number): void {
    this.#counters.bytesReceived++;
    if (this.#loopback()) {
      this.#counters.loopbackLostBytes++;
      return;
    }
    const seen = (this.#lineControl & Lcr.parity) !== 0 ? errors : errors & ~Lsr.parity;
    this.#receiver.accept(byte & this.#times.dataMask, seen);
  }

  /** The pending interrupt of highest priority (table IV). */
  #cause(): number {
    const enabled = this.#interruptEnable;
    if ((enabled & Ier.lineStatus) !== 0 && this.#receiver.hasErrors) return Iir.lineStatus;
    if ((enabled & Ier.receivedData) !== 0 && this.#receiver.dataAvailable) return Iir.receivedData;
    if ((enabled & Ier.receivedData) !== 0 && this.#receiver.timedOut) return Iir.characterTimeout;
    if ((enabled & Ier.transmitterEmpty) !== 0 && this.#transmitter.pending) return Iir.transmitterEmpty;
    if ((enabled & Ier.modemStatus) !== 0 && (this.#modemStatus & Msr.deltas) !== 0) return Iir.modemStatus;
    return Iir.none;
  }

  #updatePin(): void {
    const high = this.#cause() !== Iir.none && (this.#modemPins() & Mcr.out2) !== 0;
    if (high === this.#pinHigh) return;
    this.#pinHigh = high;
    if (high) this.#counters.interrupts++;
    this.#pin.set(high);
  }
}

const uart16550: ModelDefinition = {
  compatible: ["uart-16550", "ns16550a"],
  create: (description, environment) => new Uart16550(description, environment),
};

export default uart16550;
