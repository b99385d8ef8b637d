/** Every call from its submission to its answer, across any number of drivers: order, journal, flushes, what is sent again. */
import { AirlockError } from "../../api/errors.ts";
import type { MessageRecord } from "../../api/records.ts";
import type { DmaBuffers, DriverPort, ShadowEnvironment } from "../shadow.ts";
import { BlockCall, Transfer } from "./block-call.ts";
import type { Checksums } from "./checksums.ts";
import { BlockOp, BlockStatus } from "./contract.ts";
import { Fifo } from "./fifo.ts";
import type { DeviceFacts } from "./geometry.ts";
import { Journal } from "./journal.ts";
import { RangeOrder } from "./range-order.ts";
import { Replay } from "./replay.ts";
import type { BlockShadowSettings } from "./shadow-settings.ts";
import { opName, statusError } from "./status.ts";
import { type TransferUser, Transfers } from "./transfers.ts";

/** Calls of all clients that may wait. A client with more than this is not waiting for answers. */
export const maxCalls = 4_096;
/** Bytes these calls may move: what clients' writes hold in memory while the driver is away. */
export const maxCallBytes = 268_435_456;
/** Bytes of calls that are under way, beyond the first: what their answers take in memory. */
const maxStartedBytes = 67_108_864;
/** How often a transfer that the device gave up is sent again. */
const maxAborts = 8;
/** Drivers in a row that return wrong data for a read; after that it is the device's. */
const maxWrongs = 3;
/** Changes that could not be made again and are told one by one; the device is lost then anyway. */
const maxNotes = 8;

export class Dispatcher implements TransferUser {
  checksums: Checksums | undefined;
  readonly #environment: ShadowEnvironment;
  readonly #settings: BlockShadowSettings;
  readonly #transfers: Transfers;
  readonly #journal: Journal;
  readonly #order = new RangeOrder();
  /** Not with the driver yet, or not all of them; they wait for no other call. */
  readonly #ready = new Fifo<BlockCall>();
  /** To be sent again before these. */
  readonly #again = new Fifo<Transfer>();
  #replay: Replay | undefined;
  #resumed: (passive: boolean) => void = () => undefined;
  #device: DeviceFacts | undefined;
  #callBytes = 0;
  #startedBytes = 0;
  #pumpPlanned = false;

  /** Done but for the flush that has to follow; and those the shadow's own flush under way is for. */
  #unflushed: BlockCall[] = [];
  #flushing: BlockCall[] = [];
  #ownFlush: BlockCall | undefined;
  /** The journal shall be made shorter. */
  #writeBehind = false;
  /** The device failed the shadow's own flush: only what needs one asks for it again. */
  #ownFlushFailed = false;
  #notRestored = 0;

  constructor(environment: ShadowEnvironment, buffers: DmaBuffers, settings: BlockShadowSettings) {
    this.#environment = environment;
    this.#settings = settings;
    this.#transfers = new Transfers(environment, buffers, this);
    this.#journal = new Journal(settings.journal ? settings.journalBytes : 0);
  }

  /** Most bytes of one transfer, whatever the device can do. */
  get largestTransferBytes(): number {
    return this.#transfers.largestBytes;
  }

  /** Calls not finished yet, those given up by their clients included while a driver has them. */
  get pending(): number {
    return this.#order.size;
  }

  get journalBytes(): number {
    return this.#journal.bytes;
  }

  /** Takes a call of a client; it settles in a later turn. */
  submit(call: BlockCall): void {
    const bytes = this.#bytesOf(call);
    const { size } = this.#order;
    if (size >= maxCalls || this.#callBytes + bytes > maxCallBytes) {
      const { driver } = this.#environment;
      call.error = new AirlockError("QueueFull", `${driver}: ${size} calls of ${this.#callBytes} bytes are waiting; slow down until some are answered`);
      call.settle();
      return;
    }
    this.#callBytes += bytes;
    if (this.#order.enter(call)) this.#makeReady(call);
  }

  /** A driver may have requests: makes the journal again, then goes on. Resolves true when clients are served again, false when stopped before. */
  start(port: DriverPort, device: DeviceFacts): Promise<boolean> {
    this.#device = device;
    this.#fit(device.maxTransferBlocks);
    this.#transfers.open(port, device);
    const entries = this.#journal.live();
    if (entries.length > 0) {
      this.#environment.note(`${entries.length} acknowledged changes that no flush covers are made again (${this.#journal.bytes} bytes)`);
      this.#notRestored = 0;
      this.#replay = new Replay(entries, device.maxTransferBlocks, (transfer) => this.#transfers.send(transfer));
      // What was made again once need not be made again after the next restart.
      this.#writeBehind = true;
    }
    return new Promise((resolve) => {
      this.#resumed = resolve;
      this.#pump();
    });
  }

  /** What is to be sent again may be too large for this driver. */
  #fit(maxBlocks: number): void {
    for (const transfer of this.#again.takeAll()) {
      const { call, first, blocks } = transfer;
      if (blocks <= maxBlocks) {
        this.#again.push(transfer);
        continue;
      }
      call.out += Math.ceil(blocks / maxBlocks) - 1;
      for (let at = 0; at < blocks; at += maxBlocks) this.#again.push(new Transfer(call, first + at, Math.min(maxBlocks, blocks - at)));
    }
  }

  /** The driver is gone, at once: what it had waits for the next one. */
  stop(): void {
    if (!this.#transfers.isOpen) return;
    const again = [...this.#transfers.close(), ...this.#again.takeAll()];
    this.#replay = undefined;
    this.#ownFlush = undefined;
    this.#unflushed = [];
    this.#flushing = [];
    for (const transfer of again) {
      const { call } = transfer;
      if (call.client === undefined) continue;
      if (call.error !== undefined) {
        if (--call.out === 0) this.#finish(call);
      } else if (!call.redo && !call.needsFlush) this.#again.push(transfer);
    }
    this.#redo();
    this.#resumed(false);
    this.#resumed = () => undefined;
  }

  /** Every unfinished call fails with this. */
  failAll(error: AirlockError): void {
    this.stop();
    this.#again.takeAll();
    this.#ready.takeAll();
    this.#callBytes = 0;
    this.#startedBytes = 0;
    for (const call of this.#order.takeAll()) {
      if (call.started && call.changes) this.checksums?.forget(call.first, call.end - call.first);
      call.error ??= error;
      call.settle();
    }
  }

  /** This owner's calls fail with this at once; what a driver has of them goes on, and what it never had is left out. */
  abandon(owner: object, error: AirlockError): void {
    for (const call of this.#order.inOrder()) {
      if (call.client?.owner !== owner || call.settled) continue;
      call.client.reject(error);
      call.settled = true;
    }
    this.#plan();
  }

  /** The volume is gone for good: what is kept for it is given back. */
  clear(): void {
    this.#journal.clear();
    this.checksums = undefined;
  }

  receive(record: MessageRecord): string | undefined {
    const reason = this.#transfers.receive(record);
    if (reason === undefined && this.#wantsPump) this.#pump();
    return reason;
  }

  /** See TransferUser. */
  completed(transfer: Transfer, status: BlockStatus, detail: number): string | undefined {
    const { call } = transfer;
    if (status === BlockStatus.aborted && transfer.aborts++ < maxAborts) {
      if (call.entry === undefined) this.#again.push(transfer);
      else this.#replay!.again(transfer);
      return undefined;
    }
    const ok = status === BlockStatus.ok;
    const error = ok ? undefined : statusError(this.#environment.driver, call.op, transfer.first, transfer.blocks, status, detail);
    if (call.entry !== undefined) {
      this.#replayed(transfer, error);
      return undefined;
    }
    if (call === this.#ownFlush) {
      this.#ownFlushDone(call, error);
      return undefined;
    }
    if (ok && call.op === BlockOp.read && this.checksums !== undefined && !call.settled) {
      const wrong = this.#wrongData(transfer, this.checksums);
      if (wrong !== undefined) return wrong;
    }
    if (error !== undefined) call.error ??= error;
    else if (call.changes && this.#device!.volatileCache) this.#keep(transfer);
    call.out--;
    // What is not handed out yet of a call that failed never is.
    if (call.error !== undefined) call.issued = call.units;
    if (call.out === 0 && call.issued === call.units) this.#done(call);
    return undefined;
  }

  /** Requests made in one turn go down as one batch: at the end of the turn's microtask in which the first was made. */
  #plan(): void {
    if (this.#pumpPlanned || !this.#transfers.isOpen) return;
    this.#pumpPlanned = true;
    queueMicrotask(() => {
      this.#pumpPlanned = false;
      this.#pump();
    });
  }

  get #wantsPump(): boolean {
    return this.#ready.length > 0 || this.#again.length > 0 || this.#unflushed.length > 0 || this.#writeBehind || this.#replay !== undefined;
  }

  /** Hands out what there is room for, as one batch. */
  #pump(): void {
    if (!this.#transfers.isOpen) return;
    if (this.#replay !== undefined) {
      this.#replay.pump();
      if (this.#replay.isDone) this.#replay = undefined;
    }
    if (this.#replay === undefined) {
      if (this.#needsOwnFlush) this.#flushOwn();
      this.#sendAgain();
      this.#issueReady();
    }
    this.#transfers.flush();
    if (this.#replay !== undefined) return;
    this.#resumed(true);
    this.#resumed = () => undefined;
  }

  #sendAgain(): void {
    for (let transfer = this.#again.peek(); transfer !== undefined && this.#send(transfer); transfer = this.#again.peek()) this.#again.shift();
  }

  #issueReady(): void {
    if (this.#again.length > 0) return;
    for (let call = this.#ready.peek(); call !== undefined; call = this.#ready.peek()) {
      if (!call.started && call.settled) call.issued = call.units;
      else if (!this.#issue(call)) return;
      this.#ready.shift();
      call.queued = false;
      // Given up by its client before a driver had any of it, or empty.
      if (!call.started) this.#finish(call);
    }
  }

  /** Hands out a call's transfers; false when some had to stay. */
  #issue(call: BlockCall): boolean {
    const { maxTransferBlocks } = this.#device!;
    const bytes = call.started ? 0 : this.#bytesOf(call);
    if (this.#startedBytes > 0 && this.#startedBytes + bytes > maxStartedBytes) return false;
    while (call.issued < call.units) {
      const blocks = call.isFlush ? 0 : Math.min(maxTransferBlocks, call.units - call.issued);
      if (!this.#send(new Transfer(call, call.first + call.issued, blocks))) return false;
      call.issued += call.isFlush ? 1 : blocks;
      call.out++;
      if (call.started) continue;
      call.started = true;
      this.#startedBytes += bytes;
    }
    return true;
  }

  #send(transfer: Transfer): boolean {
    if (!this.#transfers.send(transfer)) return false;
    const { call } = transfer;
    if (call.op === BlockOp.flush) call.mark = this.#journal.newest;
    else if (this.checksums !== undefined && call.changes) this.#record(transfer, this.checksums);
    return true;
  }

  /** Nobody reads these blocks before the change is done; when it fails, they are forgotten. */
  #record(transfer: Transfer, checksums: Checksums): void {
    const { call, first, blocks } = transfer;
    if (call.entry !== undefined) return;
    if (call.op === BlockOp.write) checksums.written(first, transfer.part(this.#blockBytes));
    else if (call.op === BlockOp.writeZeroes) checksums.zeroed(first, blocks);
    else checksums.forget(first, blocks);
  }

  get #needsOwnFlush(): boolean {
    if (this.#ownFlush !== undefined) return false;
    return this.#unflushed.length > 0 || (this.#writeBehind && !this.#journal.isEmpty);
  }

  #flushOwn(): void {
    const call = new BlockCall(BlockOp.flush, 0, 0, 0, undefined, undefined);
    if (!this.#send(new Transfer(call, 0, 0))) return;
    this.#ownFlush = call;
    this.#flushing = this.#unflushed;
    this.#unflushed = [];
    this.#writeBehind = false;
  }

  #ownFlushDone(flush: BlockCall, error: AirlockError | undefined): void {
    const calls = this.#flushing;
    this.#ownFlush = undefined;
    this.#flushing = [];
    this.#ownFlushFailed = error !== undefined;
    if (error === undefined) this.#journal.trim(flush.mark);
    else this.#environment.note(error.message);
    this.#shorten();
    for (const call of calls) {
      call.error ??= error;
      this.#finish(call);
    }
  }

  /** A part of a change is done, but may be only in the device's cache. */
  #keep(transfer: Transfer): void {
    const { call, first, blocks } = transfer;
    const journal = this.#journal;
    if (call.fua && !this.#device!.fua) call.needsFlush = true;
    if (call.needsFlush) return;
    // It is safe. Where older data may be made again, it has to be made again after that.
    if (call.fua && journal.isEmpty) return;
    if (!this.#settings.journal) call.redo = true;
    else if (!journal.add(call.op, call.flags, first, blocks, call.data === undefined ? undefined : transfer.part(this.#device!.blockBytes))) call.needsFlush = true;
    this.#shorten();
  }

  #shorten(): void {
    if (this.#journal.isHalfFull && !this.#journal.isEmpty && this.#ownFlush === undefined && !this.#ownFlushFailed) this.#writeBehind = true;
  }

  #done(call: BlockCall): void {
    if (call.error === undefined) {
      if (call.needsFlush) {
        this.#unflushed.push(call);
        return;
      }
      if (call.op === BlockOp.flush) {
        this.#journal.trim(call.mark);
        this.#ownFlushFailed = false;
      }
    }
    this.#finish(call);
  }

  /** Answers a call and lets those go on that waited for it. */
  #finish(call: BlockCall): void {
    const bytes = this.#bytesOf(call);
    this.#callBytes -= bytes;
    if (call.started) {
      this.#startedBytes -= bytes;
      // Failed, or given up by a client that may have changed its data since.
      if (call.changes && (call.error !== undefined || call.settled)) this.checksums?.forget(call.first, call.end - call.first);
    }
    this.#order.leave(call, this.#readied);
    if (call.settle()) this.#environment.served(opName(call.op));
  }

  readonly #readied = (call: BlockCall): void => this.#makeReady(call);

  #makeReady(call: BlockCall): void {
    call.queued = true;
    this.#ready.push(call);
    this.#plan();
  }

  /** After a restart: puts back to their beginning what nobody kept. */
  #redo(): void {
    const calls = this.#order.inOrder().filter((call) => call.error === undefined && (call.redo || call.needsFlush));
    for (const call of calls) {
      call.issued = 0;
      call.out = 0;
      call.redo = false;
      call.needsFlush = false;
    }
    const missing = calls.filter((call) => !call.queued);
    for (const call of missing) call.queued = true;
    this.#ready.putFirst(missing);
  }

  #replayed(transfer: Transfer, error: AirlockError | undefined): void {
    const { entry } = transfer.call;
    if (error !== undefined && entry !== undefined) {
      if (this.#notRestored++ < maxNotes) this.#environment.note(`an acknowledged change could not be made again: ${error.message}`);
      this.#journal.drop(entry);
      this.checksums?.forget(entry.first, entry.blocks);
    }
    this.#replay!.done(transfer);
  }

  /** Why what a driver returned is wrong; after too many drivers, it is the client's error instead, and stays that until it is written again. */
  #wrongData(transfer: Transfer, checksums: Checksums): string | undefined {
    const { driver } = this.#environment;
    const { call, first } = transfer;
    const data = transfer.part(this.#device!.blockBytes);
    const block = checksums.firstWrong(first, data);
    if (block < 0) return undefined;
    if (call.error === undefined && !checksums.isLost(block) && ++call.wrongs < maxWrongs) return `returned wrong data for block ${block}`;
    checksums.giveUp(first, data);
    call.error ??= new AirlockError(
      "DeviceError",
      `${driver}: ${maxWrongs} drivers in a row returned for block ${block} what was not written there; the device has lost it; write it again`,
      { driver, operation: "read", status: "wrongData", block },
    );
    return undefined;
  }

  #bytesOf(call: BlockCall): number {
    return call.op === BlockOp.read || call.op === BlockOp.write ? (call.end - call.first) * this.#blockBytes : 0;
  }

  get #blockBytes(): number {
    return this.#device?.blockBytes ?? 0;
  }
}
