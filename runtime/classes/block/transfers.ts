/** Transfers on their way to the driver and back: their place in the buffers, their entry in the queue, their data. */
import { highWord, lowWord } from "../../api/words.ts";
import type { MessageRecord } from "../../api/records.ts";
import { QueueLink, type QueueUser } from "../queue-link.ts";
import type { DmaBuffers, DriverPort, ShadowEnvironment } from "../shadow.ts";
import type { Transfer } from "./block-call.ts";
import { BlockFlag, BlockOp, BlockStatus, block } from "./contract.ts";
import { Extents } from "./extents.ts";
import type { DeviceFacts } from "./geometry.ts";
import { statusRefusal } from "./status.ts";

const { io } = block.queues;
const entry = io.request.at;
const completion = io.completion.at;

/** One transfer never takes more than one part in this many of the buffers, so that several are always under way. */
const leastTransfers = 4;

export interface TransferUser {
  /** A status the operation can have came back; what was read is in the call's data. A reason makes it wrong data after all. */
  completed(transfer: Transfer, status: BlockStatus, detail: number): string | undefined;
}

export class Transfers implements QueueUser<Transfer> {
  readonly #buffers: DmaBuffers;
  readonly #user: TransferUser;
  readonly #link: QueueLink<Transfer>;
  readonly #extents: Extents;
  /** Completed in a way that ends their driver: they are sent again to the next one. */
  #refused: Transfer[] = [];
  #device: DeviceFacts | undefined;

  constructor(environment: ShadowEnvironment, buffers: DmaBuffers, user: TransferUser) {
    this.#buffers = buffers;
    this.#user = user;
    this.#link = new QueueLink(io, environment, this);
    this.#extents = new Extents(buffers.sizeBytes, leastTransfers);
  }

  /** Most bytes of one transfer, whatever the device can do. */
  get largestBytes(): number {
    return this.#extents.largestBytes;
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  /** How many the driver has. */
  get out(): number {
    return this.#link.out;
  }

  get takenBytes(): number {
    return this.#extents.takenBytes;
  }

  open(port: DriverPort, device: DeviceFacts): void {
    this.#device = device;
    this.#link.open(port, device.queueDepth);
  }

  /** The driver is gone: what it had and did not complete properly, in the order sent. */
  close(): Transfer[] {
    const had = [...this.#refused, ...this.#link.close()];
    this.#refused = [];
    for (const transfer of had) this.#release(transfer);
    return had;
  }

  /** Adds a transfer to the batch, its data copied into the buffers; false when the driver or the buffers are full. */
  send(transfer: Transfer): boolean {
    const device = this.#device!;
    if (this.#link.room <= 0) return false;
    const { call, first, blocks } = transfer;
    const { op } = call;
    let iova = 0;
    if (op === BlockOp.read || op === BlockOp.write) {
      const at = this.#extents.take(blocks * device.blockBytes);
      if (at < 0) return false;
      transfer.bufferAt = at;
      if (op === BlockOp.write) this.#buffers.write(at, transfer.part(device.blockBytes));
      iova = this.#buffers.iova + at;
    }
    const { words } = this.#link;
    const at = this.#link.add(transfer);
    words[at + entry.op] = op;
    words[at + entry.flags] = flagsFor(call.flags, op, device);
    words[at + entry.blocks] = blocks;
    words[at + entry.lbaLow] = lowWord(first);
    words[at + entry.lbaHigh] = highWord(first);
    words[at + entry.iovaLow] = lowWord(iova);
    words[at + entry.iovaHigh] = highWord(iova);
    return true;
  }

  /** Sends the batch. */
  flush(): void {
    this.#link.flush();
  }

  receive(record: MessageRecord): string | undefined {
    return this.#link.receive(record);
  }

  /** See QueueUser. */
  completed(transfer: Transfer, words: Uint32Array, at: number): string | undefined {
    const { call } = transfer;
    const status = words[at + completion.status]!;
    let reason = statusRefusal(call.op, status);
    if (reason === undefined) {
      if (status === BlockStatus.ok && call.op === BlockOp.read && !call.settled) this.#takeData(transfer);
      this.#release(transfer);
      reason = this.#user.completed(transfer, status as BlockStatus, words[at + completion.detail]!);
    }
    if (reason !== undefined) this.#refused.push(transfer);
    return reason;
  }

  #takeData(transfer: Transfer): void {
    const { call } = transfer;
    const { blockBytes } = this.#device!;
    call.data ??= new Uint8Array((call.end - call.first) * blockBytes);
    this.#buffers.read(transfer.bufferAt, transfer.part(blockBytes));
  }

  #release(transfer: Transfer): void {
    if (transfer.bufferAt < 0) return;
    this.#extents.give(transfer.bufferAt);
    transfer.bufferAt = -1;
  }
}

/** Where every completed write is on the medium, or the device knows no such flag, it is left out. */
function flagsFor(flags: number, op: BlockOp, { fua, volatileCache }: DeviceFacts): number {
  if (flags === 0) return 0;
  const wanted = (fua && volatileCache && (op === BlockOp.write || op === BlockOp.writeZeroes) ? BlockFlag.fua : 0)
    | (op === BlockOp.writeZeroes ? BlockFlag.mayDiscard : 0);
  return flags & wanted;
}
