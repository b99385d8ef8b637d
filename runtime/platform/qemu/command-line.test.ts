import { describe, expect, test } from "vitest";
import type { DeviceDescription } from "../../bus/device.ts";
import { type MachineWish, planMachine } from "./command-line.ts";

const rtc: DeviceDescription = {
  name: "rtc", compatible: ["mc146818"], windows: { cmos: { kind: "port", base: 0x70, sizeBytes: 2, widths: [8] } }, irqs: { tick: 8 }, options: {},
};
const uart: DeviceDescription = {
  name: "uart,evil=1", compatible: ["uart-16550"], windows: { regs: { kind: "port", base: 0x3f8, sizeBytes: 8, widths: [8] } }, irqs: { line: 4 }, options: { peer: "echo" },
};
const wish: MachineWish = { machine: "q35", devices: [], epochMs: Date.UTC(2026, 10, 3, 12, 34, 56), folder: "/tmp/a,b" };

describe("the command line", () => {
  test("has the machine, its time and its devices; no name of the machine file gets into it", async () => {
    const plan = await planMachine({ ...wish, devices: [rtc, uart] });
    expect(plan.args).toContain("clock=vm,base=2026-11-03T12:34:56");
    expect(plan.args).toContain("pipe,id=qtest,path=/tmp/a,,b/qtest");
    expect(plan.args).toContain("socket,id=dev1,path=/tmp/a,,b/dev1,server=on,wait=off");
    expect(plan.args).toContain("isa-serial,chardev=dev1,iobase=0x3f8,irq=4");
    expect(plan.args.join(" ")).not.toContain("evil");
    expect(plan.connectors).toEqual([{ device: "uart,evil=1", kind: "serial", socketPath: "/tmp/a,b/dev1", peer: "echo", options: { peer: "echo" } }]);
  });

  const refused: readonly [string, string, Partial<DeviceDescription> & Pick<DeviceDescription, "compatible">][] = [
    ["an unknown device", "NotFound", { ...rtc, compatible: ["z80-sio"] }],
    ["a clock elsewhere", "InvalidArgument", { ...rtc, windows: { cmos: { kind: "port", base: 0x72, sizeBytes: 2, widths: [8] } } }],
    ["a clock on another line", "InvalidArgument", { ...rtc, irqs: { tick: 9 } }],
    ["a port beyond the last", "InvalidArgument", { ...uart, windows: { regs: { kind: "port", base: 0xfffc, sizeBytes: 8, widths: [8] } } }],
    ["a port that is no number", "InvalidArgument", { ...uart, windows: { regs: { kind: "port", base: "0x3f8,id=x" as unknown as number, sizeBytes: 8, widths: [8] } } }],
    ["a UART in memory", "InvalidArgument", { ...uart, windows: { regs: { kind: "mmio", base: 0x3f8, sizeBytes: 8, widths: [8] } } }],
    ["a UART without a line", "InvalidArgument", { ...uart, irqs: {} }],
    ["a line beyond ISA", "InvalidArgument", { ...uart, irqs: { line: 16 } }],
    ["an unknown peer", "NotFound", { ...uart, options: { peer: "modem" } }],
  ];
  test.each(refused)("refuses %s", async (_name, code, device) => {
    await expect(planMachine({ ...wish, devices: [{ ...rtc, ...device }] })).rejects.toMatchObject({ code });
  });

  test("listens for a watchdog where there is one, and refuses two", async () => {
    const watchdog = (name: string, address: string): DeviceDescription => ({ name, compatible: ["i6300esb"], windows: {}, irqs: {}, options: {}, pci: { address } });
    const plan = await planMachine({ ...wish, devices: [rtc, watchdog("wdt", "00:06.0")] });
    expect([plan.watchdog, plan.args.includes("unix:/tmp/a,,b/qmp-events,server=on,wait=off")]).toEqual(["wdt", true]);
    const without = await planMachine({ ...wish, devices: [rtc] });
    expect([without.watchdog, without.args.join(" ").includes("qmp-events")]).toEqual([undefined, false]);
    await expect(planMachine({ ...wish, devices: [watchdog("one", "00:06.0"), watchdog("two", "00:07.0")] })).rejects.toMatchObject({
      code: "InvalidArgument", message: expect.stringContaining('"one" is one already') as string,
    });
  });

  test.each([Number.NaN, -1, Infinity, Date.UTC(10_000, 0, 1)])("refuses the civil time %d", async (epochMs) => {
    await expect(planMachine({ ...wish, epochMs })).rejects.toMatchObject({ code: "InvalidArgument" });
  });

  test("refuses a directory too deep for a socket", async () => {
    await expect(planMachine({ ...wish, devices: [uart], folder: `/tmp/${"x".repeat(110)}` })).rejects.toMatchObject({ code: "PlatformUnavailable" });
  });
});
