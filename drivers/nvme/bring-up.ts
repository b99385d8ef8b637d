/** From a controller in any state to one with an I/O queue. Source: NVM Express Base Specification 1.4, section 7.6.1. */
import { AirlockError } from "airlock/driver";
import type { AdminCommand, AdminQueue } from "./admin-queue.ts";
import { AdminOpcode, Cns, Feature, queueContiguous, queueInterrupts } from "./commands.ts";
import type { Controller } from "./controller.ts";
import { type ControllerInfo, type Namespace, listsNamespace, parseController, parseNamespace } from "./identify.ts";
import { type IoQueue, ioQueueId } from "./io-queue.ts";
import { type Layout, adminEntries, listTransferBytes } from "./layout.ts";

export interface Disk {
  readonly controller: ControllerInfo;
  readonly namespace: Namespace;
}

/** Which data page each structure goes to, all three at once. */
const controllerPage = 0;
const listPage = 1;
const namespacePage = 2;

/** The interrupt of both queues: vector 0. */
const interruptVector = 0;

/**
 * Disables the controller, which ends whatever it was doing, and starts it with empty queues. Commands that were outstanding
 * are completed as aborted once it does no more DMA.
 * @throws AirlockError HardwareLost, HardwareTimeout, Unsupported; Error when it refuses a command it has to know
 */
export async function bringUp(controller: Controller, admin: AdminQueue, io: IoQueue, layout: Layout, namespaceId: number): Promise<Disk> {
  await controller.disable();
  admin.clear();
  io.clear(namespaceId);
  await controller.enable(admin.iovas.submission, admin.iovas.completion, adminEntries);
  const disk = await identify(admin, namespaceId);
  await Promise.all([
    // One submission and one completion queue, numbers being one less than there are (5.21.1.7). It is never given fewer.
    admin.execute("set number of queues", { opcode: AdminOpcode.setFeatures, cdw10: Feature.numberOfQueues, cdw11: 0 }),
    ...(disk.controller.volatileCache ? [enableCache(admin)] : []),
  ]);
  const size = ((layout.ioEntries - 1) << 16) | ioQueueId;
  await admin.execute("create I/O completion queue", {
    opcode: AdminOpcode.createCompletion, iova: io.iovas.completion, cdw10: size, cdw11: (interruptVector << 16) | queueInterrupts | queueContiguous,
  });
  await admin.execute("create I/O submission queue", {
    opcode: AdminOpcode.createSubmission, iova: io.iovas.submission, cdw10: size, cdw11: (ioQueueId << 16) | queueContiguous,
  });
  return disk;
}

/** Asks the controller what it and its namespace are. */
export async function identify(admin: AdminQueue, namespaceId: number): Promise<Disk> {
  await Promise.all([
    admin.execute("identify controller", identifyCommand(admin, Cns.controller, 0, controllerPage)),
    admin.execute("identify active namespaces", identifyCommand(admin, Cns.activeNamespaces, 0, listPage)),
    admin.execute(`identify namespace ${namespaceId}`, identifyCommand(admin, Cns.namespace, namespaceId, namespacePage)),
  ]);
  if (!listsNamespace(admin.copyPage(listPage), namespaceId)) {
    throw new AirlockError("NotFound", `the NVMe controller has no active namespace ${namespaceId}; set the option "namespace"`);
  }
  const info = parseController(admin.copyPage(controllerPage));
  return { controller: info, namespace: parseNamespace(admin.copyPage(namespacePage), namespaceId, info, listTransferBytes) };
}

function identifyCommand(admin: AdminQueue, cns: number, namespace: number, page: number): AdminCommand {
  return { opcode: AdminOpcode.identify, namespace, iova: admin.pageIova(page), cdw10: cns };
}

/** The cache is on at most devices; a crashed predecessor or another system may have turned it off (5.21.1.6). */
function enableCache(admin: AdminQueue): Promise<void> {
  return new Promise((resolve) => {
    // A device whose cache cannot be changed refuses: it is as it is.
    admin.submit({ opcode: AdminOpcode.setFeatures, cdw10: Feature.volatileWriteCache, cdw11: 1 }, () => resolve());
  });
}
