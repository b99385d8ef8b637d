/** NVMe controller with a disk behind it: registers, reset, shutdown. Source: NVM Express Base Specification 1.4 (June 2019). */
import type { AccessWidth } from "../api/grants.ts";
import type { DeviceDescription, Model, ModelDefinition, ModelEnvironment } from "../bus/device.ts";
import type { RegisterSpace } from "../bus/register-space.ts";
import { NvmeAdmin } from "./nvme-admin.ts";
import { NvmeEngine } from "./nvme-engine.ts";
import { NvmeEvents } from "./nvme-events.ts";
import { NvmeFeatures } from "./nvme-features.ts";
import { subsystemVendorId, vendorId } from "./nvme-identify.ts";
import { type IoCounters, NvmeIo } from "./nvme-io.ts";
import { NvmeLogs } from "./nvme-log.ts";
import { type NvmeNamespace, makeNamespaces, nvmeOptions } from "./nvme-options.ts";
import { NvmeQueues } from "./nvme-queues.ts";
import {
  CapHigh, CapLow, Cc, Csts, Offset, adminSizeMask, maxPageShift, maxQueueEntries, minPageBytes, vectorCount, versionNumber,
} from "./nvme-registers.ts";
import { NvmeTransfer } from "./nvme-transfer.ts";

/** A driver may wait this long for CSTS.RDY, in units of 500 ms. */
const readyTimeoutUnits = 10;

/**
 * Registers and the controller's states; queues, commands, features and media have files of their own.
 *
 * MSI-X is on when the description has an interrupt "msix0"; else the controller uses its INTx pin. A controller reset
 * keeps the write cache, a power cut does not.
 */
class NvmeController implements Model {
  readonly spaces: Readonly<Record<string, RegisterSpace>>;
  readonly #namespaces: readonly NvmeNamespace[];
  readonly #counters: IoCounters = {
    reads: 0, writes: 0, bytesRead: 0, bytesWritten: 0, flushes: 0, zeroed: 0, deallocations: 0, mediaErrors: 0, powerCuts: 0,
  };
  readonly #queues = new NvmeQueues();
  readonly #events = new NvmeEvents();
  readonly #logs: NvmeLogs;
  readonly #features: NvmeFeatures;
  readonly #transfer: NvmeTransfer;
  readonly #admin: NvmeAdmin;
  readonly #engine: NvmeEngine;
  readonly #doorbellStride: number;
  #configuration = 0;
  #status = 0;
  #adminAttributes = 0;
  readonly #adminAddresses = new Uint32Array(4);
  #resets = 0;
  #fatalErrors = 0;

  constructor(description: DeviceDescription, environment: ModelEnvironment) {
    const { clock, dma } = environment;
    const options = nvmeOptions(description, environment.directory);
    const namespaces = makeNamespaces(options);
    const hasCache = options.cacheBytes > 0;
    const queues = this.#queues;
    const events = this.#events;
    const transfer = new NvmeTransfer(dma);
    const logs = new NvmeLogs(this.#counters);
    const features = new NvmeFeatures({
      namespaceCount: namespaces.length, hasCache, queuesInUse: () => queues.inUse,
      enableCache: (on) => namespaces.every(({ media }) => media.enableCache(on)),
    });
    const admin = new NvmeAdmin({ dma, transfer, queues, features, logs, events, namespaces, serial: options.serial, hasCache });
    const messages = "msix0" in description.irqs ? Array.from({ length: vectorCount }, (_, vector) => environment.irq(`msix${vector}`)) : [];
    this.#namespaces = namespaces;
    this.#transfer = transfer;
    this.#logs = logs;
    this.#features = features;
    this.#admin = admin;
    this.#doorbellStride = options.doorbellStride;
    this.#engine = new NvmeEngine({
      clock, latencyMicros: options.latencyMicros, dma, queues, admin, io: new NvmeIo(namespaces, transfer, this.#counters), features, logs, events,
      messages, intx: environment.irq("intx"), fatal: () => this.#fail(),
    });
    this.spaces = { bar0: { read: (offset, width) => this.#read(offset, width), write: (offset, width, value) => this.#write(offset, width, value) } };
  }

  /** The function's reset: registers and queues; what the disk holds stays, also in its cache. */
  reset(): void {
    this.#stop();
    this.#configuration = 0;
    this.#status = 0;
    this.#adminAttributes = 0;
    this.#adminAddresses.fill(0);
    for (const { media } of this.#namespaces) media.store.close();
  }

  powerCut(): void {
    this.reset();
    this.#counters.powerCuts++;
    this.#logs.powerCut();
    for (const { media } of this.#namespaces) media.powerCut();
  }

  /** `cachedBlocks` would be lost by a power cut now, `lostBlocks` were; `errors` are commands that completed with an error status. */
  statistics(): Readonly<Record<string, number>> {
    const sum = (of: (namespace: NvmeNamespace) => number): number => this.#namespaces.reduce((total, namespace) => total + of(namespace), 0);
    return {
      ...this.#counters, errors: this.#engine.errors, completed: this.#engine.completed, interrupts: this.#engine.interrupts,
      controllerResets: this.#resets, fatalErrors: this.#fatalErrors,
      cachedBlocks: sum(({ media }) => media.cachedBlocks), lostBlocks: sum(({ media }) => media.lostBlocks),
    };
  }

  /** Narrow reads see their part of the register. */
  #read(offset: number, width: AccessWidth): number {
    const word = this.#readWord(offset & ~3) >>> ((offset & 3) * 8);
    return width === 32 ? word : word & (2 ** width - 1);
  }

  /** Narrow writes change their part of the register, and are not for doorbells (3.1.24: they are written whole). */
  #write(offset: number, width: AccessWidth, value: number): void {
    if (offset >= Offset.doorbells) {
      if (offset < Offset.messageTable && width === 32) this.#writeDoorbell(offset - Offset.doorbells, value);
      return;
    }
    if (width === 32) return this.#writeWord(offset, value);
    const shift = (offset & 3) * 8;
    const mask = ((2 ** width - 1) << shift) >>> 0;
    const isMask = (offset & ~3) === Offset.interruptMaskSet || (offset & ~3) === Offset.interruptMaskClear;
    const rest = isMask ? 0 : this.#readWord(offset & ~3) & ~mask;
    this.#writeWord(offset & ~3, (rest | (value << shift)) >>> 0);
  }

  #readWord(offset: number): number {
    switch (offset) {
      case Offset.capabilitiesLow: return maxQueueEntries + CapLow.contiguousQueues + readyTimeoutUnits * 2 ** CapLow.timeoutShift;
      case Offset.capabilitiesHigh: return this.#doorbellStride | CapHigh.nvmCommandSet | (maxPageShift << CapHigh.maxPageShift);
      case Offset.version: return versionNumber;
      case Offset.interruptMaskSet: case Offset.interruptMaskClear: return this.#engine.intxMask;
      case Offset.configuration: return this.#configuration;
      case Offset.status: return this.#status;
      case Offset.adminQueueAttributes: return this.#adminAttributes;
      case Offset.adminSubmissionLow: case Offset.adminSubmissionHigh: case Offset.adminCompletionLow: case Offset.adminCompletionHigh:
        return this.#adminAddresses[(offset - Offset.adminSubmissionLow) / 4]!;
      default: return 0;
    }
  }

  #writeWord(offset: number, value: number): void {
    switch (offset) {
      case Offset.interruptMaskSet: this.#engine.intxMask = (this.#engine.intxMask | value) >>> 0; break;
      case Offset.interruptMaskClear: this.#engine.intxMask = (this.#engine.intxMask & ~value) >>> 0; break;
      case Offset.configuration: this.#configure(value & Cc.writable); break;
      case Offset.adminQueueAttributes: this.#adminAttributes = value & ((adminSizeMask << 16) | adminSizeMask); break;
      // Bits 11:0 are reserved (3.1.9): queues begin on a page.
      case Offset.adminSubmissionLow: case Offset.adminCompletionLow:
        this.#adminAddresses[(offset - Offset.adminSubmissionLow) / 4] = value & ~0xfff;
        break;
      case Offset.adminSubmissionHigh: case Offset.adminCompletionHigh:
        this.#adminAddresses[(offset - Offset.adminSubmissionLow) / 4] = value;
    }
  }

  #writeDoorbell(offset: number, value: number): void {
    const shift = this.#doorbellStride + 2;
    // Between doorbells that are further apart there is nothing.
    if ((offset & ((1 << shift) - 1)) === 0) this.#engine.doorbell(offset >>> shift, value & 0xffff);
  }

  /** CC (3.1.5): enabling, disabling and shutdown are transitions of its fields. */
  #configure(value: number): void {
    const before = this.#configuration;
    this.#configuration = value;
    const enabled = (value & Cc.enable) !== 0;
    if (!enabled && (before & Cc.enable) !== 0) this.#controllerReset();
    else if (enabled && (before & Cc.enable) === 0) this.#start();
    if ((value & Cc.shutdownMask) !== 0 && (before & Cc.shutdownMask) === 0) this.#shutDown();
  }

  /** A controller that cannot be what CC says does not become ready (3.1.5, 3.1.6). */
  #start(): void {
    const field = (shift: number, mask: number): number => (this.#configuration >>> shift) & mask;
    const pageShift = field(Cc.pageShift, Cc.pageMask);
    const pageBytes = minPageBytes << pageShift;
    const submission = this.#adminAttributes & adminSizeMask;
    const completion = (this.#adminAttributes >>> 16) & adminSizeMask;
    const [submissionLow, submissionHigh, completionLow, completionHigh] = this.#adminAddresses as unknown as [number, number, number, number];
    const possible = field(Cc.commandSetShift, Cc.commandSetMask) === 0 && field(Cc.arbitrationShift, Cc.arbitrationMask) === 0
      && pageShift <= maxPageShift && submission > 0 && completion > 0 && ((submissionLow | completionLow) & (pageBytes - 1)) === 0;
    if (!possible) return this.#fail();
    this.#transfer.pageBytes = pageBytes;
    this.#queues.createAdmin(submissionHigh * 2 ** 32 + submissionLow, submission + 1, completionHigh * 2 ** 32 + completionLow, completion + 1);
    this.#status = Csts.ready;
    this.#engine.start();
  }

  /** 7.3.2: queues and outstanding commands are gone; the admin queues' registers, the cache and the logs stay. */
  #controllerReset(): void {
    this.#resets++;
    this.#stop();
    this.#status = 0;
    this.#engine.intxMask = 0;
  }

  #stop(): void {
    this.#engine.stop();
    this.#queues.clear();
    this.#engine.updatePin();
    this.#events.clear();
    this.#admin.clear();
    this.#features.reset();
  }

  /** 7.6.2: everything is made safe. Commands are executed again only after a reset. */
  #shutDown(): void {
    this.#engine.stop();
    for (const { media } of this.#namespaces) media.flush();
    this.#status = (this.#status & ~Csts.shutdownMask) | Csts.shutdownComplete;
  }

  #fail(): void {
    this.#fatalErrors++;
    this.#status |= Csts.fatal;
    this.#engine.stop();
  }
}

const nvme: ModelDefinition = {
  compatible: ["nvme"],
  pci: {
    vendorId, deviceId: 0x0010, classCode: 0x01_0802, revision: 0, subsystemVendorId, subsystemId: 0x1100,
    bars: [{ index: 0, kind: "mmio", sizeBytes: 16_384, is64Bit: true }], interruptPin: 1,
    msix: { vectors: vectorCount, bar: 0, tableOffset: Offset.messageTable, pendingOffset: Offset.messagePending }, functionReset: true,
  },
  create: (description, environment) => new NvmeController(description, environment),
};

export default nvme;
