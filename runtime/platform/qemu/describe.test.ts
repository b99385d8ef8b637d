import { describe, expect, test } from "vitest";
import type { DeviceDescription } from "../../bus/device.ts";
import { describeDevices, intxLine } from "./describe.ts";

const at = (name: string, compatible: string, address: string, options: DeviceDescription["options"] = {}): DeviceDescription =>
  ({ name, compatible: [compatible], windows: {}, irqs: {}, options, pci: { address } });

describe("descriptions of PCI devices", () => {
  test("have windows in front of the MSI-X table, lines above the wires, and an identity", async () => {
    const [disk, nic, more] = await describeDevices([at("disk", "nvme", "00:04.0"), at("nic", "e1000", "00:05.0"), at("more", "nvme", "00:18.0")]);
    expect(disk!.windows["bar0"]).toEqual({ kind: "mmio", base: 0xe000_0000, sizeBytes: 0x2000, widths: [8, 16, 32] });
    expect(disk!.windows["config"]).toMatchObject({ kind: "config", sizeBytes: 256 });
    expect(disk!.pci?.identity).toMatchObject({ vendorId: 0x1b36, classCode: 0x010802 });
    expect(disk!.irqs).toMatchObject({ intx: 20, msix0: 1_024, msix1: 1_025 });
    expect(nic!.windows).toMatchObject({ bar0: { kind: "mmio", base: 0xe002_0000, sizeBytes: 0x2_0000 }, bar1: { kind: "port", base: 0xc000, sizeBytes: 0x40 } });
    expect(nic!.irqs).toEqual({ intx: 21 });
    expect(more!.windows["bar0"]!.base).toBe(0xe004_0000);
    expect(more!.irqs["intx"]).toBe(20);
    expect(new Set([disk!.irqs["msix0"], more!.irqs["msix0"]]).size).toBe(2);
  });

  test("completing them twice changes nothing", async () => {
    const once = await describeDevices([at("disk", "nvme", "00:04.0"), at("nic", "e1000", "00:05.0")]);
    expect(await describeDevices(once)).toEqual(once);
  });

  test.each<[string, string, readonly DeviceDescription[]]>([
    ["another bus", "InvalidArgument", [at("disk", "nvme", "01:04.0")]], ["a second function", "InvalidArgument", [at("disk", "nvme", "00:04.1")]],
    ["the host bridge's slot", "InvalidArgument", [at("disk", "nvme", "00:00.0")]], ["the chipset's slots", "InvalidArgument", [at("disk", "nvme", "00:1f.0")]],
    ["no address", "InvalidArgument", [at("disk", "nvme", "0:4.0,id=x")]], ["a slot twice", "InvalidArgument", [at("a", "nvme", "00:04.0"), at("b", "e1000", "00:04.0")]],
    ["a UART on PCI", "InvalidArgument", [at("com", "uart-16550", "00:04.0")]],
    ["a disk that is not on PCI", "InvalidArgument", [{ name: "disk", compatible: ["nvme"], windows: {}, irqs: {}, options: {} }]],
    ["an unknown device", "NotFound", [at("disk", "z80-sio", "00:04.0")]],
  ])("refuses %s", async (_what, code, devices) => {
    await expect(describeDevices(devices)).rejects.toMatchObject({ code });
  });

  test("slots take q35's four wires in turn", () => {
    expect([1, 2, 3, 4, 24].map(intxLine)).toEqual([21, 22, 23, 20, 20]);
  });
});
