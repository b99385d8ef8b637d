import { describe, expect, test } from "vitest";
import type { DeviceDescription } from "../../../bus/device.ts";
import e1000 from "./e1000.ts";
import i6300esb from "./i6300esb.ts";
import type { QemuNames } from "./kind.ts";
import ne2kPci from "./ne2k-pci.ts";
import nvme from "./nvme.ts";
import pcnet from "./pcnet.ts";
import rtl8139 from "./rtl8139.ts";
import tulip from "./tulip.ts";

const asked: unknown[] = [];
const names: QemuNames = {
  id: "dev3", socketPath: "/tmp/x/dev3", pciSlot: "04.0", directory: "/machines/a,b",
  memoryFile: (sizeBytes) => (asked.push(sizeBytes), "/proc/self/fd/3"),
  tap: (name, mtu) => (asked.push([name, mtu]), 5),
};
const device = (options: Readonly<Record<string, unknown>>): DeviceDescription =>
  ({ name: "it", compatible: [], windows: {}, irqs: {}, pci: { address: "00:04.0" }, options: options as DeviceDescription["options"] });
const line = (kind: typeof nvme, options: Readonly<Record<string, unknown>>): string => kind.build(device(options), names).args.join(" ");

describe("QEMU's NVMe", () => {
  test("is a disk in memory of 64 MiB, with a vector per queue", () => {
    asked.length = 0;
    const text = line(nvme, {});
    expect(text).toContain("filename=/proc/self/fd/3,");
    expect(text).toContain("addr=04.0,drive=dev3-disk,serial=dev3,logical_block_size=512");
    expect(text).toContain("msix_qsize=17");
    expect(asked).toEqual([67_108_864]);
  });

  test("keeps a file beside the machine file", () => {
    const plan = nvme.build(device({ file: "disks/a,id=x", sizeBytes: 8_192, blockBytes: 4_096, serial: "S-1" }), names);
    expect(plan.files).toEqual([{ device: "it", path: "/machines/a,b/disks/a,id=x", sizeBytes: 8_192 }]);
    expect(plan.args.join(" ")).toContain("filename=/machines/a,,b/disks/a,,id=x,");
    expect(plan.args.join(" ")).toContain("serial=S-1,logical_block_size=4096");
    expect(nvme.build(device({ file: "/abs" }), { ...names, directory: undefined }).files).toEqual([{ device: "it", path: "/abs", sizeBytes: undefined }]);
  });

  test.each([
    [{ blockBytes: 1_024 }], [{ blockBytes: "512,drive=x" }], [{ sizeBytes: 1_000 }], [{ sizeBytes: 0 }], [{ sizeBytes: -512 }], [{ sizeBytes: 2 ** 50 }],
    [{ sizeBytes: Number.NaN }], [{ serial: "a,b" }], [{ serial: "" }], [{ serial: "x".repeat(21) }], [{ serial: 7 }], [{ file: 3 }], [{ file: "" }], [{ file: "a\nb" }],
  ])("refuses %j", (options) => {
    expect(() => line(nvme, options)).toThrow(expect.objectContaining({ code: "InvalidArgument" }));
  });

  test("a relative file without a machine file is refused", () => {
    expect(() => nvme.build(device({ file: "disk" }), { ...names, directory: undefined })).toThrow(/absolute/);
  });
});

describe.each([["e1000", e1000], ["rtl8139", rtl8139], ["ne2k_pci", ne2kPci], ["pcnet", pcnet], ["tulip", tulip]])("QEMU's %s", (driver, kind) => {
  test("has an unplugged cable and an address by its slot", () => {
    const plan = kind.build(device({}), names);
    expect(plan.args).toContain("stream,id=dev3-net,server=on,addr.type=unix,addr.path=/tmp/x/dev3");
    expect(plan.args.at(-1)).toBe(`${driver},id=dev3,addr=04.0,mac=52:54:00:a1:00:04,netdev=dev3-net,romfile=`);
    expect(plan.connector).toEqual({ kind: "network", peer: "none" });
  });

  test("is plugged into a TAP interface, another QEMU, or the host", () => {
    asked.length = 0;
    expect(line(kind, { peer: "tap", interface: "tap0", mtu: 1_400, mac: "02:AB:00:00:00:01" })).toContain("tap,id=dev3-net,fd=5");
    expect(asked).toEqual([["tap0", 1_400]]);
    expect(line(kind, { peer: "stream", path: "cable,x" })).toContain("server=off,addr.type=unix,addr.path=/machines/a,,b/cable,,x ");
    expect(line(kind, { peer: "stream", path: "/cable", server: true })).toContain("server=on,");
    expect(kind.build(device({ peer: "host" }), names).connector).toEqual({ kind: "network", peer: "host" });
  });

  test.each([
    ["InvalidArgument", { mac: "01:00:00:00:00:00" }], ["InvalidArgument", { mac: "52:54:00:12:34:56,x=y" }], ["InvalidArgument", { mac: 5 }],
    ["InvalidArgument", { peer: "tap" }], ["InvalidArgument", { peer: "tap", interface: "a b" }], ["InvalidArgument", { peer: "tap", interface: "t", mtu: 1 }],
    ["InvalidArgument", { peer: "stream" }], ["InvalidArgument", { peer: "host", address: "10.0.0.256" }], ["InvalidArgument", { peer: "a,b" }],
    ["NotFound", { peer: "wifi" }],
  ])("refuses with %s %j", (code, options) => {
    expect(() => line(kind, options)).toThrow(expect.objectContaining({ code }));
  });

  test("carries long frames where its card does", () => {
    const long = (): string => line(kind, { peer: "tap", interface: "tap0", mtu: 9_000 });
    if (driver === "e1000") expect(long()).toContain("fd=5");
    else expect(long).toThrow(/mtu is 9000, not a whole number from 68 to 1500/);
  });
});

describe("QEMU's RTL8139", () => {
  test("says that it is the plain chip, or the C+ that QEMU's is", () => {
    expect([{}, { plus: false }, { plus: true }].map((options) => rtl8139.identity!(device(options)).revision)).toEqual([0x10, 0x10, 0x20]);
    expect(rtl8139.build(device({}), names).actual).toEqual({ revision: 0x20 });
    expect(() => rtl8139.identity!(device({ plus: "yes" }))).toThrow(expect.objectContaining({ code: "InvalidArgument", message: expect.stringMatching(/option plus/) as string }));
  });
});

test("QEMU's watchdog tells and resets nothing", () => {
  expect(i6300esb.build(device({}), names)).toEqual({ args: ["-action", "watchdog=none", "-device", "i6300esb,id=dev3,addr=04.0"], isWatchdog: true });
});
