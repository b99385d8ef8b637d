/** What each platform with DMA does about memory: a device reaches what its driver's domain maps, while it maps it, and nothing else. */
import { describe, expect, test } from "vitest";
import type { BusPort } from "../../runtime/bus/bus-port.ts";
import type { DmaMapping } from "../../runtime/bus/iommu.ts";
import { PciCommand, PciConfig } from "../../runtime/bus/pci.ts";
import type { BusConnection, BusGrant, BusReport } from "../../runtime/bus/platform.ts";
import { openRam } from "../../runtime/native/ram.ts";
import type { PlatformFactory, PlatformBench } from "./platform.suite.ts";

const page = 4096;
const queues = 0x10_0000;
const data = 0x20_0000;

/** NVMe registers (NVM Express 1.4, 3.1), and the one command used here: identify (5.15). */
const Reg = { cc: 0x14, csts: 0x1c, aqa: 0x24, asqLow: 0x28, asqHigh: 0x2c, acqLow: 0x30, acqHigh: 0x34, doorbell: 0x1000 } as const;
const enable = 0x0046_0001;
const queueEntries = 0x000f_000f;
const identify = 0x06;
const identifyController = 1;

/** Longest wait for something the device does. */
const waitMs = 5_000;

/** One connection to the disk `nvme0` or `nvme1`: a page for the admin queues, one for data, as far as they are mapped. */
class Rig implements AsyncDisposable {
  readonly bench: PlatformBench;
  readonly reports: BusReport[] = [];
  readonly #ram;
  readonly #connections: BusConnection[] = [];
  #generation = 0n;
  #nextOffset: number;
  port!: BusPort;

  constructor(bench: PlatformBench) {
    this.bench = bench;
    this.#ram = openRam(bench.platform.ram!);
    this.#nextOffset = bench.platform.ram!.firstFreeOffset;
  }

  /** Fresh RAM, mapped for the device: a page of data filled with 0xee, or two zeroed pages of queues. */
  page(name: string, iova: number, rights: DmaMapping["rights"] = "readwrite"): DmaMapping {
    const ramOffset = this.#nextOffset;
    this.#nextOffset += 3 * page;
    this.fill(ramOffset, name === "data" ? 0xee : 0);
    return { name, iova, ramOffset, sizeBytes: name === "data" ? page : 2 * page, rights, guest: false };
  }

  fill(ramOffset: number, value: number): void {
    this.#ram.write(ramOffset, new Uint8Array(page).fill(value));
  }

  bytes(ramOffset: number, size = page): Uint8Array {
    const into = new Uint8Array(size);
    this.#ram.read(ramOffset, into);
    return into;
  }

  async connect(dma: readonly DmaMapping[], device = "nvme0"): Promise<BusConnection> {
    const grant: BusGrant = {
      driver: device, generation: ++this.#generation, device, dma, irqs: [], limits: { stormPerSecond: 100_000, ackMs: 60_000 },
      windows: [{ name: "bar0", sizeBytes: 0x2000, rights: "readwrite", widths: [32] }, { name: "config", sizeBytes: 256, rights: "readwrite", widths: [8, 16, 32] }],
    };
    const connection = await this.bench.platform.connect(grant, (report) => this.reports.push(report));
    this.#connections.push(connection);
    this.port = this.bench.port(connection);
    return connection;
  }

  /** Enables the controller with its admin queues in one mapping: submissions in its first page, completions in its second. */
  async enable(queuePage = queues): Promise<void> {
    this.port.write(0, Reg.cc, 32, 0);
    await this.until(() => (this.port.read(0, Reg.csts, 32) & 1) === 0, "the controller is disabled");
    for (const [offset, value] of [[Reg.aqa, queueEntries], [Reg.asqLow, queuePage], [Reg.asqHigh, 0], [Reg.acqLow, queuePage + page], [Reg.acqHigh, 0]] as const) this.port.write(0, offset, 32, value);
    this.port.write(0, Reg.cc, 32, enable);
    await this.until(() => (this.port.read(0, Reg.csts, 32) & 3) !== 0, "the controller answers");
  }

  /** Asks for the controller's identity, to be put at `iova`, as command number `index`. */
  submitIdentify(queueOffset: number, iova: number, index = 0): void {
    const command = new Uint32Array(16);
    command[0] = identify | ((index + 1) << 16);
    command[6] = iova;
    command[10] = identifyController;
    this.#ram.write(queueOffset + index * 64, new Uint8Array(command.buffer));
    this.port.write(0, Reg.doorbell, 32, index + 1);
  }

  completion(queueOffset: number, index = 0): Uint32Array {
    return new Uint32Array(this.bytes(queueOffset + page + index * 16, 16).buffer);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    for (let spentMs = 0; spentMs < waitMs; spentMs += 2) {
      if (condition()) return;
      await this.bench.advance(2);
    }
    throw new Error(`not within ${waitMs} ms: ${what}`);
  }

  faults(): { device: string; iova: number; direction: string }[] {
    return this.reports.flatMap((report) => (report.kind === "dma-fault" ? [{ device: report.fault.device, iova: report.fault.iova & ~(page - 1), direction: report.fault.direction }] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) await connection.close();
    this.#ram.close();
    await this.bench.platform.close();
  }
}

/** `factory` opens a platform with two NVMe disks, `nvme0` and `nvme1`. */
export function platformDmaSuite(factory: PlatformFactory): void {
  const rig = async (): Promise<Rig> => new Rig(await factory.open());

  describe(`${factory.name}: DMA`, () => {
    test("a device works on the pages of its driver's domain, at the domain's addresses", async () => {
      await using made = await rig();
      const [queue, target] = [made.page("queues", queues), made.page("data", data)];
      await made.connect([queue, target]);
      await made.enable();
      made.submitIdentify(queue.ramOffset, data);
      await made.until(() => made.completion(queue.ramOffset)[3] !== 0, "identify is completed");
      expect(made.completion(queue.ramOffset)[3]! >>> 17).toBe(0);
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0xee)).toBe(false);
      expect(made.faults()).toEqual([]);
    });

    test("an address that is not mapped is blocked and reported, and nothing is written anywhere", async () => {
      await using made = await rig();
      const [queue, target] = [made.page("queues", queues), made.page("data", data)];
      await made.connect([queue, target]);
      await made.enable();
      made.submitIdentify(queue.ramOffset, data + page);
      await made.until(() => made.faults().length > 0, "the fault is reported");
      expect(made.faults()[0]).toEqual({ device: "nvme0", iova: data + page, direction: "write" });
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0xee)).toBe(true);
      // The page behind it in RAM, which the address would be if nobody translated it.
      expect(made.bytes(target.ramOffset + page).every((byte) => byte === 0)).toBe(true);
    });

    test("a page that the device may only read is not written", async () => {
      await using made = await rig();
      const [queue, target] = [made.page("queues", queues), made.page("data", data, "read")];
      await made.connect([queue, target]);
      await made.enable();
      made.submitIdentify(queue.ramOffset, data);
      await made.until(() => made.faults().length > 0, "the fault is reported");
      expect(made.faults()[0]).toEqual({ device: "nvme0", iova: data, direction: "write" });
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0xee)).toBe(true);
    });

    test("two devices have the same addresses for pages of their own, and reach only these", async () => {
      await using made = await rig();
      const mine = [made.page("queues", queues), made.page("data", data)] as const;
      const other = [made.page("queues", queues), made.page("data", data)] as const;
      await made.connect(mine, "nvme0");
      const first = made.port;
      await made.enable();
      await made.connect(other, "nvme1");
      await made.enable();
      made.submitIdentify(other[0].ramOffset, data);
      await made.until(() => made.completion(other[0].ramOffset)[3] !== 0, "the second device is done");
      expect(made.bytes(mine[1].ramOffset).every((byte) => byte === 0xee)).toBe(true);
      made.port = first;
      made.submitIdentify(mine[0].ramOffset, data);
      await made.until(() => made.completion(mine[0].ramOffset)[3] !== 0, "the first device is done");
      expect(made.bytes(mine[1].ramOffset).every((byte) => byte === 0xee)).toBe(false);
      expect(made.faults()).toEqual([]);
    });

    test("once unmapped, nothing lands any more, and the next generation's pages are its own", async () => {
      await using made = await rig();
      const [queue, target] = [made.page("queues", queues), made.page("data", data)];
      const connection = await made.connect([queue, target]);
      await made.enable();
      made.submitIdentify(queue.ramOffset, data);
      await made.until(() => made.completion(queue.ramOffset)[3] !== 0, "identify is completed");
      await connection.unmap();
      made.fill(target.ramOffset, 0x55);
      made.submitIdentify(queue.ramOffset, data, 1);
      await made.bench.advance(50);
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0x55)).toBe(true);
      connection.gate();
      await connection.mask();
      await connection.stopDma();
      await connection.close();
      const next = [made.page("queues", queues), made.page("data", data)] as const;
      await made.connect(next);
      await made.enable();
      made.submitIdentify(next[0].ramOffset, data);
      await made.until(() => made.completion(next[0].ramOffset)[3] !== 0, "the next generation is served");
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0x55)).toBe(true);
      expect(made.bytes(next[1].ramOffset).every((byte) => byte === 0xee)).toBe(false);
    });

    test("without bus mastering nothing lands; a driver's write to its command register does not give it back", async () => {
      await using made = await rig();
      const [queue, target] = [made.page("queues", queues), made.page("data", data)];
      const connection = await made.connect([queue, target]);
      await made.enable();
      await connection.stopDma();
      const command = made.port.read(1, PciConfig.command, 16);
      made.port.write(1, PciConfig.command, 16, command | PciCommand.busMaster);
      expect(made.port.read(1, PciConfig.command, 16) & PciCommand.busMaster).toBe(PciCommand.busMaster);
      await made.enable();
      made.submitIdentify(queue.ramOffset, data);
      await made.bench.advance(50);
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0xee)).toBe(true);
    });

    test("a driver without DMA memory has a device that reaches none", async () => {
      await using made = await rig();
      const target = made.page("data", 0);
      await made.connect([]);
      await made.enable(target.ramOffset === 0 ? page : target.ramOffset);
      made.port.write(0, Reg.doorbell, 32, 1);
      await made.bench.advance(50);
      expect(made.bytes(target.ramOffset).every((byte) => byte === 0xee)).toBe(true);
    });

    test.each([
      ["RAM beyond the end", { ramOffset: 2 ** 40 }], ["half a page", { sizeBytes: 2048 }], ["an address that is not a page's", { iova: data + 8 }], ["address 0", { iova: 0 }],
    ])("a mapping of %s is refused, and the device can be connected again", async (_name, change) => {
      await using made = await rig();
      const good = made.page("data", data);
      await expect(made.connect([{ ...good, ...change }])).rejects.toMatchObject({ code: "InvalidArgument" });
      await made.connect([good]);
    });

    test("a connection that replaces one nobody tore down has the device for itself; the late end of the old one changes nothing", async () => {
      await using made = await rig();
      const old = [made.page("queues", queues), made.page("data", data)] as const;
      const abandoned = await made.connect(old);
      await made.enable();
      abandoned.gate();
      const next = [made.page("queues", queues), made.page("data", data)] as const;
      await made.connect(next);
      await made.enable();
      await abandoned.close();
      made.submitIdentify(next[0].ramOffset, data);
      await made.until(() => made.completion(next[0].ramOffset)[3] !== 0, "the new generation is served");
      expect(made.bytes(next[1].ramOffset).every((byte) => byte === 0xee)).toBe(false);
      expect(made.bytes(old[1].ramOffset).every((byte) => byte === 0xee)).toBe(true);
      expect(made.faults()).toEqual([]);
    });

    test("a device that is pulled out answers with ones and touches nothing; put back in it serves the next generation", async () => {
      await using made = await rig();
      const { platform } = made.bench;
      const old = [made.page("queues", queues), made.page("data", data)] as const;
      const first = await made.connect(old);
      await made.enable();
      await platform.plug("nvme0", false);
      await platform.plug("nvme0", false);
      expect([made.port.read(0, Reg.csts, 32), made.port.read(1, PciConfig.vendorId, 32), made.port.read(1, PciConfig.command, 16), made.port.read(1, 0x3d, 8)])
        .toEqual([0xffff_ffff, 0xffff_ffff, 0xffff, 0xff]);
      made.submitIdentify(old[0].ramOffset, data);
      made.port.write(1, PciConfig.command, 16, PciCommand.memorySpace | PciCommand.busMaster);
      await made.bench.advance(20);
      expect([made.completion(old[0].ramOffset)[3], made.bytes(old[1].ramOffset).every((byte) => byte === 0xee)]).toEqual([0, true]);
      // The other disk has noticed nothing.
      const other = [made.page("queues", queues), made.page("data", data)] as const;
      await made.connect(other, "nvme1");
      await made.enable();
      made.submitIdentify(other[0].ramOffset, data);
      await made.until(() => made.completion(other[0].ramOffset)[3] !== 0, "the other disk serves");
      await first.stopDma();
      await first.close();
      await platform.plug("nvme0", true);
      const next = [made.page("queues", queues), made.page("data", data)] as const;
      await made.connect(next);
      expect(made.port.read(0, Reg.csts, 32)).toBe(0);
      await made.enable();
      made.submitIdentify(next[0].ramOffset, data);
      await made.until(() => made.completion(next[0].ramOffset)[3] !== 0, "it serves again");
      expect([made.bytes(old[1].ramOffset).every((byte) => byte === 0xee), made.faults()]).toEqual([true, []]);
    });

    test("a driver that comes while its device is out reaches nothing, also when it is back", async () => {
      await using made = await rig();
      const { platform } = made.bench;
      await platform.plug("nvme0", false);
      const mine = [made.page("queues", queues), made.page("data", data)] as const;
      await made.connect(mine);
      expect(made.port.read(0, Reg.csts, 32)).toBe(0xffff_ffff);
      await platform.plug("nvme0", true);
      for (const [offset, value] of [[Reg.aqa, queueEntries], [Reg.asqLow, queues], [Reg.asqHigh, 0], [Reg.acqLow, queues + page], [Reg.acqHigh, 0], [Reg.cc, enable]] as const) made.port.write(0, offset, 32, value);
      made.submitIdentify(mine[0].ramOffset, data);
      await made.bench.advance(20);
      expect([made.completion(mine[0].ramOffset)[3], made.bytes(mine[1].ramOffset).every((byte) => byte === 0xee)]).toEqual([0, true]);
    });

    test("only what is on the bus can be pulled out", async () => {
      await using made = await rig();
      await expect(made.bench.platform.plug("none", false)).rejects.toMatchObject({ code: "NotFound" });
    });

    test("configuration space says who the device is and takes no other identity", async () => {
      await using made = await rig();
      await made.connect([]);
      expect(made.port.read(1, PciConfig.revision, 32) >>> 8).toBe(0x010802);
      const id = made.port.read(1, PciConfig.vendorId, 32);
      made.port.write(1, PciConfig.vendorId, 32, 0x1234_5678);
      expect(made.port.read(1, PciConfig.vendorId, 32)).toBe(id);
      expect(made.port.read(1, PciConfig.capabilities, 8)).toBe(0);
    });
  });
}
