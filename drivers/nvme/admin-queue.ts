/** The admin queue pair: a few commands at a time, each with a callback. Source: NVM Express Base Specification 1.4, sections 4.1, 4.6, 5. */
import { type DmaMemory, type RegisterWindow, highWord, lowWord } from "airlock/driver";
import { Cqe, Sqe, cqeBytes, phaseBit, sqeBytes, sqeWords, statusShift } from "./commands.ts";
import type { Controller } from "./controller.ts";
import { type Layout, adminEntries } from "./layout.ts";
import { pageBytes } from "./registers.ts";
import { statusText } from "./status.ts";

export interface AdminCommand {
  readonly opcode: number;
  readonly namespace?: number;
  /** Where its data is or goes: one page. */
  readonly iova?: number;
  readonly cdw10?: number;
  readonly cdw11?: number;
}

/** `status` is the raw field, 0 for success, or `dropped`. */
export type AdminDone = (status: number, result: number) => void;

/** The status of commands that a reset of the controller ended. */
export const dropped = -1;

/** Commands at once: fewer than entries, and more than this driver ever has. */
const maxOutstanding = 16;

interface Outstanding {
  readonly id: number;
  readonly done: AdminDone;
  /** The tick it was sent in; undefined for a command that may wait for ever. */
  readonly sentTick: number | undefined;
}

export class AdminQueue {
  /** Counts up while commands are out; see Watch. */
  tick = 0;
  readonly #memory: DmaMemory;
  readonly #regs: RegisterWindow;
  readonly #layout: Layout;
  readonly #tailDoorbell: number;
  readonly #headDoorbell: number;
  readonly #slots: (Outstanding | undefined)[] = new Array<Outstanding | undefined>(maxOutstanding).fill(undefined);
  #tail = 0;
  #head = 0;
  #phase = phaseBit;
  /** Upper part of command ids, so that a completion that comes twice or too late fits no command. */
  #sequence = 0;

  constructor(memory: DmaMemory, regs: RegisterWindow, layout: Layout, controller: Controller) {
    this.#memory = memory;
    this.#regs = regs;
    this.#layout = layout;
    this.#tailDoorbell = controller.doorbell(0, "tail");
    this.#headDoorbell = controller.doorbell(0, "head");
  }

  /** Empties the rings for a controller that is disabled; what was outstanding is dropped. */
  clear(): void {
    this.drop();
    const { adminSubmission, adminCompletion } = this.#layout;
    this.#memory.bytes.fill(0, adminSubmission, adminSubmission + adminEntries * sqeBytes);
    this.#memory.bytes.fill(0, adminCompletion, adminCompletion + adminEntries * cqeBytes);
    this.#memory.syncForDevice(adminSubmission, adminEntries * sqeBytes);
    this.#memory.syncForDevice(adminCompletion, adminEntries * cqeBytes);
    this.#tail = 0;
    this.#head = 0;
    this.#phase = phaseBit;
  }

  get iovas(): { readonly submission: number; readonly completion: number } {
    return { submission: this.#memory.iova + this.#layout.adminSubmission, completion: this.#memory.iova + this.#layout.adminCompletion };
  }

  /** The device's address of data page `index`. */
  pageIova(index: number): number {
    return this.#memory.iova + this.#layout.adminData + index * pageBytes;
  }

  /** A copy of data page `index`, as the device has left it. */
  copyPage(index: number): Uint8Array {
    const at = this.#layout.adminData + index * pageBytes;
    this.#memory.syncForCpu(at, pageBytes);
    return this.#memory.bytes.slice(at, at + pageBytes);
  }

  /** Whether there is room for a command that may as well come later. */
  get hasRoom(): boolean {
    return this.#slots.includes(undefined);
  }

  /** Whether commands are out that have to complete some time. */
  get busy(): boolean {
    return this.#slots.some((slot) => slot?.sentTick !== undefined);
  }

  /** Sends a command; `done` is called in a later turn. One that is `patient` may take for ever, as an event request does. */
  submit(command: AdminCommand, done: AdminDone, patient = false): void {
    const slot = this.#slots.indexOf(undefined);
    if (slot < 0) throw new Error(`more than ${maxOutstanding} admin commands at once`);
    this.#sequence = (this.#sequence + 1) & 0x7f;
    const id = (this.#sequence << 8) | slot;
    this.#slots[slot] = { id, done, sentTick: patient ? undefined : this.tick };
    const { words } = this.#memory;
    const offset = this.#layout.adminSubmission + this.#tail * sqeBytes;
    const at = offset >> 2;
    words.fill(0, at, at + sqeWords);
    words[at + Sqe.command] = command.opcode | (id << 16);
    words[at + Sqe.namespace] = command.namespace ?? 0;
    words[at + Sqe.prp1Low] = lowWord(command.iova ?? 0);
    words[at + Sqe.prp1High] = highWord(command.iova ?? 0);
    words[at + Sqe.cdw10] = command.cdw10 ?? 0;
    words[at + Sqe.cdw11] = command.cdw11 ?? 0;
    this.#memory.syncForDevice(offset, sqeBytes);
    this.#tail = (this.#tail + 1) % adminEntries;
    this.#regs.write32(this.#tailDoorbell, this.#tail);
  }

  /** Sends a command and resolves with its result word. @throws Error when it fails or is dropped */
  execute(what: string, command: AdminCommand): Promise<number> {
    return new Promise((resolve, reject) => {
      this.submit(command, (status, result) => {
        const failure = status === dropped ? "did not complete it in time" : `refused it with ${statusText(status)}`;
        if (status === 0) resolve(result);
        else reject(new Error(`${what}: the controller ${failure}`));
      });
    });
  }

  /** Takes what the device has completed, at most as much as is outstanding. @throws Error when a completion is nobody's */
  reap(): void {
    const { words } = this.#memory;
    let taken = 0;
    for (; taken < maxOutstanding; taken++) {
      const offset = this.#layout.adminCompletion + this.#head * cqeBytes;
      this.#memory.syncForCpu(offset, cqeBytes);
      const at = offset >> 2;
      const status = words[at + Cqe.status]!;
      if ((status & phaseBit) !== this.#phase) break;
      const result = words[at + Cqe.result]!;
      const id = status & 0xffff;
      const outstanding = this.#slots[id & 0xff];
      if (outstanding?.id !== id) throw new Error(`the device lies: it completed admin command ${id}, which is not outstanding`);
      this.#slots[id & 0xff] = undefined;
      this.#head = (this.#head + 1) % adminEntries;
      if (this.#head === 0) this.#phase ^= phaseBit;
      outstanding.done(status >>> statusShift, result);
    }
    if (taken > 0) this.#regs.write32(this.#headDoorbell, this.#head);
  }

  /** Ends what is outstanding without the device, which is disabled or is not trusted to answer any more. */
  drop(): void {
    for (const [slot, outstanding] of this.#slots.entries()) {
      this.#slots[slot] = undefined;
      outstanding?.done(dropped, 0);
    }
  }

  /** Whether a command has been out for `limitTicks`. */
  overdue(limitTicks: number): boolean {
    return this.#slots.some((slot) => slot?.sentTick !== undefined && this.tick - slot.sentTick >= limitTicks);
  }
}
