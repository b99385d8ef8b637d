/** Tests of matching: each refusal with its place, the grants that result, and that no resource has two drivers. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clockManifest, labText, MachineFiles } from "../../test/fixtures/machine-files.ts";
import type { DeviceDescription } from "../bus/device.ts";
import { judge, matchDrivers } from "./match.ts";

function problems(files: MachineFiles, text: string): string[] {
  const machine = files.load(text);
  return judge(machine, machine.devices).problems.list.map((one) => `${one.line}:${one.column}: ${one.text}`);
}

const change = (from: string, to: string) => labText.replace(from, to);

describe("assignments", () => {
  test("a grant is the need, with the limits of the machine file", () => {
    using files = new MachineFiles();
    const machine = files.load(change("size: 2", "size: 4").replace("device: rtc\n", "device: rtc\n    limits: { irqPerSecond: 9000, irqAck: 50ms }\n"));
    const [clock, console] = matchDrivers(machine, machine.devices);
    expect(clock).toMatchObject({
      driver: "clock",
      device: { name: "rtc" },
      grant: {
        driver: "clock",
        device: "rtc",
        windows: [{ name: "cmos", sizeBytes: 2, rights: "readwrite", widths: [8] }],
        irqs: [{ name: "tick" }],
        limits: { stormPerSecond: 9_000, ackMs: 50 },
      },
      quiesce: [{ do: "write" }, { do: "modify" }],
    });
    expect(console!.grant.windows).toEqual([{ name: "regs", sizeBytes: 8, rights: "readwrite", widths: [8], isPorts: true }]);
  });

  test("the window of a port range says that it is one", () => {
    using files = new MachineFiles();
    const machine = files.load();
    expect(matchDrivers(machine, machine.devices)[0]!.grant.windows).toEqual([{ name: "cmos", sizeBytes: 2, rights: "readwrite", widths: [8], isPorts: true }]);
  });

  test("match finds one device, or one instance for each of several", () => {
    using files = new MachineFiles();
    const one = files.load(change("    device: rtc\n", "    match: { compatible: mc146818 }\n"));
    expect(matchDrivers(one, one.devices).map((each) => [each.driver, each.device.name])).toContainEqual(["clock", "rtc"]);
    const second = "  rtc2: { compatible: [mc146818], ports: { cmos: { base: 0x72, size: 2 } }, irqs: { tick: 9 } }\ndrivers:\n";
    const two = files.load(change("    device: rtc\n", "    match: { compatible: [mc146818], expect: atLeastOne }\n").replace("drivers:\n", second));
    expect(matchDrivers(two, two.devices).map((each) => each.driver)).toEqual(["clock.rtc", "clock.rtc2", "console"]);
  });

  test("an alternative gets a part of the same grants", () => {
    using files = new MachineFiles();
    files.package("polling", { ...clockManifest, name: "polling", needs: { windows: { cmos: { sizeBytes: 2, rights: "readwrite" } } } });
    const machine = files.load(change("device: rtc\n", "device: rtc\n    restart: { escalate: { to: alternative, package: polling } }\n"));
    const [clock] = matchDrivers(machine, machine.devices);
    expect(clock!.alternative).toMatchObject({ package: { manifest: { name: "polling" } }, grant: { driver: "clock", irqs: [] } });
  });
});

describe("PCI devices", () => {
  const identity = (change: object): DeviceDescription["pci"] => ({ address: "00:04.0", identity: {
    vendorId: 0x1b36, deviceId: 0x10, classCode: 0x010802, revision: 2, subsystemVendorId: 0, subsystemId: 0, bars: [], interruptPin: 1, functionReset: true, ...change,
  } });
  const disk: DeviceDescription = {
    name: "nvme0", compatible: ["nvme"], options: {}, irqs: { msix0: 1024 }, pci: identity({}),
    windows: { bar0: { kind: "mmio", base: 0xe000_0000, sizeBytes: 8192, widths: [8, 16, 32] }, config: { kind: "config", base: 0, sizeBytes: 256, widths: [8, 16, 32] } },
  };
  const manifest = {
    ...clockManifest, name: "nvme", class: "block", compatible: ["nvme"], quiesce: [], options: {},
    needs: { windows: { bar0: { sizeBytes: 4096, rights: "readwrite", widths: [32] } }, irqs: ["msix0"], dma: { ring: { size: 5000 }, data: { size: "1MiB", use: "buffers" } } },
  };
  const text = (match: string, more = ""): string => `machine: pci
platform: { type: sim }
devices: { nvme0: { compatible: [nvme], pci: { address: "00:04.0" } } }
drivers:
  disk:
    package: disk
    match: ${match}
    grants: [bar0, msix0, ring, data]
${more}`;
  const judged = (files: MachineFiles, match: string, more?: string, device = disk) => {
    files.package("disk", manifest);
    return judge(files.load(text(match, more)), [device]);
  };

  test.each([
    "{ pci: { class: 0x010802 } }", "{ pci: { vendor: 0x1b36, device: 0x10 } }", '{ pci: { address: "00:04.0" } }', "{ compatible: nvme }", "{ compatible: nvme, pci: { class: 0x010802 } }",
  ])("%s finds it, and the grant has its memory at addresses of its own domain", (match) => {
    using files = new MachineFiles();
    const { problems: found, drivers } = judged(files, match);
    expect(found.list).toEqual([]);
    expect(drivers[0]!.assignments[0]!.grant).toMatchObject({
      windows: [{ name: "bar0", sizeBytes: 4096 }], irqs: [{ name: "msix0" }], dma: [{ name: "ring", sizeBytes: 8192, guest: true }, { name: "data", sizeBytes: 2 ** 20, guest: false }],
    });
  });

  test.each([
    ["{ pci: { class: 0x010601 } }", "match wants PCI class 0x10601; it is 0x10802"], ["{ pci: { vendor: 0x8086 } }", "match wants PCI vendor 0x8086; it is 0x1b36"],
    ["{ pci: { vendor: 0x1b36, device: 0x11 } }", "match wants PCI device 0x11; it is 0x10"], ['{ pci: { address: "00:05.0" } }', "match wants the PCI device at 00:05.0; it is at 00:04.0"],
    ["{ compatible: ahci, pci: { class: 0x010802 } }", "match wants ahci; it is nvme"],
  ])("%s does not, and says why", (match, reason) => {
    using files = new MachineFiles();
    expect(judged(files, match).drivers[0]!.devices[0]).toEqual({ device: "nvme0", matched: false, reason });
  });

  test("a match that finds nothing shows what is on the bus", () => {
    using files = new MachineFiles();
    const told = (device: DeviceDescription): string[] => judged(files, "{ pci: { class: 0x010601 } }", "", device).problems.list.map(({ text: what }) => what);
    expect(told(disk)).toEqual([
      'driver "disk" matches no device, not exactly one; on the PCI bus: nvme0 (class 0x10802, vendor 0x1b36, device 0x10, address 00:04.0)',
    ]);
    const { pci: _pci, ...plain } = disk;
    expect(told(plain)).toEqual(['driver "disk" matches no device, not exactly one; there is no device on the PCI bus']);
  });

  test("a message has no line number", () => {
    using files = new MachineFiles();
    expect(judged(files, "{ compatible: nvme }").drivers[0]!.resources).toContainEqual(
      { device: "nvme0", kind: "irq", name: "msix0", granted: true, reason: "PCI message 0, needed and granted" },
    );
  });

  test("a device that is not on the bus has no identity and no DMA", () => {
    using files = new MachineFiles();
    const { pci: _pci, ...plain } = disk;
    expect(judged(files, "{ pci: { class: 0x010802 } }", "", plain).drivers[0]!.devices[0]!.reason).toBe("match wants a PCI device; it is none");
    expect(judged(files, "{ compatible: nvme }", "", plain).problems.list.map(({ text: what }) => what)).toContain(
      'driver "disk": device "nvme0" has no DMA: it is not on the PCI bus; name another package or device',
    );
  });

  test("an optional window or line is granted where the machine file says so, and a window without a size is the device's whole one", () => {
    using files = new MachineFiles();
    const needs = {
      windows: { bar0: { optional: true, rights: "readwrite", widths: [32] }, config: { optional: true, rights: "read", widths: [8] } }, irqs: [], optionalIrqs: ["msix0", "msix1"],
      dma: manifest.needs.dma,
    };
    files.package("disk", { ...manifest, needs });
    const grants = (list: string) => {
      const machine = files.load(text("{ compatible: nvme }").replace(/grants: .*/, `grants: [${list}]`));
      return judge(machine, [disk]);
    };
    const granted = grants("bar0, msix0, ring, data");
    expect(granted.problems.list).toEqual([]);
    expect(granted.drivers[0]!.assignments[0]!.grant).toMatchObject({ windows: [{ name: "bar0", sizeBytes: 8192, rights: "readwrite", widths: [32] }], irqs: [{ name: "msix0" }] });
    expect(grants("ring, data").drivers[0]!.assignments[0]!.grant).toMatchObject({ windows: [], irqs: [] });
    // What the machine file grants has to be there: a name that is not would be a mistake nobody sees.
    expect(grants("bar0, msix1, ring, data").problems.list.map(({ text: what }) => what)).toEqual([expect.stringContaining('device "nvme0" has no irq "msix1"')]);
  });

  test("buffers that the driver sees are its class's all the same", () => {
    using files = new MachineFiles();
    files.package("disk", { ...manifest, needs: { ...manifest.needs, dma: { heap: { size: 4096 }, buffers: { size: 8192, use: "buffers", visible: true } } } });
    const machine = files.load(text("{ compatible: nvme }").replace(/grants: .*/, "grants: [bar0, msix0, heap, buffers]"));
    expect(judge(machine, [disk]).drivers[0]!.assignments[0]!.grant.dma).toMatchObject([
      { name: "heap", guest: true }, { name: "buffers", guest: true, isBuffers: true, sizeBytes: 8192 },
    ]);
  });

  test("more memory than the limit is refused, and granted by a higher one", () => {
    using files = new MachineFiles();
    const found = (more: string): string[] => judged(files, "{ compatible: nvme }", more).problems.list.map(({ text: what }) => what);
    expect(found("    limits: { dma: 64KiB }\n")).toEqual([
      'package "nvme" of driver "disk" needs 1056768 bytes of DMA memory, more than its limit of 65536; grant it with limits: { dma: 1056768 }',
    ]);
    expect(found("    limits: { dma: 1056768 }\n")).toEqual([]);
  });
});

describe("refusals", () => {
  const second = "  rtc2: { compatible: [mc146818], ports: { cmos: { base: 0x72, size: 2 } }, irqs: { tick: 9 } }\ndrivers:\n";
  const cases: readonly [name: string, text: string, expected: string[]][] = [
    ["a device that does not exist", change("device: rtc\n", "device: rtx\n"), ['9:13: driver "clock" names device "rtx", which does not exist; did you mean "rtc"?']],
    ["no match", change("    device: rtc\n", "    match: { compatible: mc146819 }\n"), ['9:12: driver "clock" matches no device, not exactly one; did you mean "mc146818"?']],
    ["more than stated", change("    device: rtc\n", "    match: { compatible: mc146818 }\n").replace("drivers:\n", second), [
      '10:12: driver "clock" matches 2 devices (rtc, rtc2), not exactly one; write device: with one of them, or another expect',
    ]],
    ["a device of another kind", change("device: com1", "device: rtc").replace("[regs, line]", "[]"), [
      '12:14: package "uart-16550" of driver "console" drives uart-16550, but device "rtc" is mc146818; name another package or device',
      '14:13: driver "console": its package needs window "regs", which is not granted; add regs to grants, or name another package',
      '14:13: driver "console": its package needs irq "line", which is not granted; add line to grants, or name another package',
    ]],
    ["a need that is not granted", change("[cmos, tick]", "[cmos]"), ['10:13: driver "clock": its package needs irq "tick", which is not granted; add tick to grants, or name another package']],
    ["a grant that is not needed", change("[cmos, tick]", "[cmos, tick, alarm]"), ['10:26: driver "clock": "alarm" is granted, but package "rtc-mc146818" does not need it; remove it from grants']],
    ["a grant twice", change("[cmos, tick]", "[cmos, tick, cmos]"), ['10:26: driver "clock": "cmos" is granted twice; name it once']],
    ["a resource the device lacks", change("cmos: { base", "cmso: { base"), ['10:14: driver "clock": device "rtc" has no window "cmos"; did you mean "cmso"?']],
    ["a window that is too small", change("size: 2", "size: 1"), ['10:14: driver "clock": window "cmos" of device "rtc" has 1 bytes, but the package needs 2; correct its size, or name another package']],
    ["a width the device does not decode", change("size: 2", "size: 2, widths: [16]"), ['10:14: driver "clock": window "cmos" of device "rtc" does not decode 8-bit accesses; write widths: [8] if it does']],
    ["overlapping devices", change("0x3f8, size: 8", "0x71, size: 8"), ['5:54: "regs", ports 0x71 (8 bytes), of device "com1" overlaps "cmos", ports 0x70 (2 bytes), of device "rtc"; correct base or size of one of them']],
    ["PCI configuration", change("0x70", "0xcf7"), ['10:14: driver "clock": window "cmos" of device "rtc" holds the PCI configuration ports 0xcf8 to 0xcff, which nobody is granted; remove it']],
    ["double assignment", change("package: console\n    device: com1\n    grants: [regs, line]", "package: clock\n    device: rtc\n    grants: [cmos, tick]"), [
      '14:14: driver "console": "cmos" of device "rtc" is already granted to driver "clock"; one resource has one driver; remove one grant',
      '14:20: driver "console": "tick" of device "rtc" is already granted to driver "clock"; one resource has one driver; remove one grant',
    ]],
  ];
  test.each(cases)("%s", (_, text, expected) => {
    using files = new MachineFiles();
    expect(problems(files, text)).toEqual(expected);
    const machine = files.load(text);
    expect(() => matchDrivers(machine, machine.devices)).toThrow(expect.objectContaining({ code: "MachineFileInvalid" }));
  });

  test("ports 0xcf8 to 0xcff and no others are PCI configuration", () => {
    using files = new MachineFiles();
    const refused = (base: number) => problems(files, change("0x70", `0x${base.toString(16)}`)).length === 1;
    expect([0xcf6, 0xcf7, 0xcf8, 0xcfc, 0xcff, 0xd00].map(refused)).toEqual([false, true, true, true, true, false]);
  });

  test("an alternative that needs more than is granted", () => {
    using files = new MachineFiles();
    files.package("greedy", { ...clockManifest, name: "greedy", needs: { windows: { cmos: { sizeBytes: 2, rights: "readwrite" }, nvram: { sizeBytes: 8, rights: "read" } } } });
    expect(problems(files, change("device: rtc\n", "device: rtc\n    restart: { escalate: { to: alternative, package: greedy } }\n"))).toEqual([
      '10:54: alternative "greedy" of driver "clock": it needs window "nvram", which is not granted; name another alternative',
    ]);
  });

  test("more than 31 windows and lines", () => {
    using files = new MachineFiles();
    const irqs = Array.from({ length: 31 }, (_, index) => `i${index}`);
    files.package("clock", { ...clockManifest, needs: { ...(clockManifest["needs"] as object), irqs } });
    expect(files.problems(labText)).toEqual([expect.stringMatching(/^clock\/driver\.json:\d+:\d+: needs 32 windows and lines; a driver has at most 31$/)]);
    const grants = Array.from({ length: 32 }, (_, index) => `g${index}`).join(", ");
    files.package("clock", clockManifest);
    expect(problems(files, change("[cmos, tick]", `[${grants}]`))).toContain('10:13: driver "clock" is granted 32 windows and lines; at most 31');
  });
});

describe("whatever the machine file says", () => {
  /** Mostly undefined, which stands for what is right: most machines are nearly sound. */
  const sometimes = <T,>(value: fc.Arbitrary<T>, weight = 1) => fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight, arbitrary: value });
  const device = fc.record({ uart: fc.boolean(), base: sometimes(fc.integer({ min: 0, max: 14 }), 5), size: sometimes(fc.constantFrom(1, 2)), irq: fc.nat(3) });
  const driver = fc.record({
    uart: sometimes(fc.boolean()),
    device: fc.nat(3),
    match: sometimes(fc.constantFrom("exactlyOne", "atLeastOne", "any")),
    grants: sometimes(fc.array(fc.constantFrom("cmos", "tick", "regs", "line"), { maxLength: 4 })),
  });

  test("no resource and no address has two drivers, and every refusal has its place", () => {
    using files = new MachineFiles();
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(device, { minLength: 1, maxLength: 6 }), fc.array(driver, { minLength: 1, maxLength: 3 }), (devices, drivers) => {
        const text = [
          "machine: any",
          "platform: { type: sim }",
          "devices:",
          ...devices.map(({ uart, base, size, irq }, index) => {
            const range = `{ base: ${base ?? 64 + 8 * index}, size: ${size ?? 8} }`;
            return `  d${index}: { compatible: [${uart ? "uart-16550" : "mc146818"}], ports: { ${uart ? "regs" : "cmos"}: ${range} }, irqs: { ${uart ? "line" : "tick"}: ${irq} } }`;
          }),
          "drivers:",
          ...drivers.map((one, index) => {
            const uart = one.uart ?? devices[one.device]?.uart ?? false;
            const grants = one.grants ?? (uart ? ["regs", "line"] : ["cmos", "tick"]);
            const target = one.match === undefined ? `device: d${one.device}` : `match: { compatible: [mc146818, uart-16550], expect: ${one.match} }`;
            return `  r${index}: { package: ${uart ? "console" : "clock"}, ${target}, grants: [${grants.join(", ")}] }`;
          }),
        ].join("\n");
        const machine = files.load(text);
        const { drivers: judged, problems: found } = judge(machine, machine.devices);
        const granted = judged.flatMap((one) => one.resources.filter((each) => each.granted).map((each) => `${each.device}/${each.name}`));
        expect(new Set(granted).size).toBe(granted.length);
        for (const one of found.list) expect(one).toMatchObject({ file: machine.file, line: expect.any(Number), column: expect.any(Number), text: expect.stringMatching(/; .|\?$/) });
        if (found.list.length > 0) return;
        const addresses = matchDrivers(machine, machine.devices).flatMap(({ device: { windows }, grant }) =>
          grant.windows.flatMap(({ name, sizeBytes }) => Array.from({ length: sizeBytes }, (_, offset) => windows[name]!.base + offset)),
        );
        expect(new Set(addresses).size).toBe(addresses.length);
        accepted += addresses.length > 0 ? 1 : 0;
      }),
      { numRuns: 500 },
    );
    // Random machines that are all refused would show nothing.
    expect(accepted).toBeGreaterThan(5);
  });
});
