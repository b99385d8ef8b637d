/** Configuration space as a driver sees it: what it may change, what it only believes to change, and what it never sees. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AccessWidth } from "../api/grants.ts";
import { ConfigFilter } from "./pci-config-filter.ts";
import { PciCommand, PciConfig, type PciIdentity } from "./pci.ts";

const identity: PciIdentity = {
  vendorId: 0x8086, deviceId: 0x100e, classCode: 0x020000, revision: 3, subsystemVendorId: 0x1af4, subsystemId: 0x1100, interruptPin: 1, functionReset: false,
  bars: [{ index: 0, kind: "mmio", sizeBytes: 0x2_0000 }, { index: 1, kind: "port", sizeBytes: 64 }, { index: 2, kind: "mmio", sizeBytes: 0x4000, is64Bit: true, prefetchable: true }],
};

function filter() {
  const real = { command: 0x0103, status: 0xf910 };
  const writes: [offset: number, width: AccessWidth, value: number][] = [];
  const config = new ConfigFilter({
    read: (offset) => (offset === PciConfig.command ? real.command : offset === PciConfig.status ? real.status : 0xdead),
    write: (offset, width, value) => {
      writes.push([offset, width, value]);
      if (offset === PciConfig.command) real.command = value;
    },
  }, identity);
  return { config, real, writes };
}

describe("identity", () => {
  test("reads as it is, whatever the width, and cannot be written", () => {
    const { config, writes } = filter();
    expect([config.read(0, 32), config.read(0, 16), config.read(2, 16), config.read(1, 8)]).toEqual([0x100e_8086, 0x8086, 0x100e, 0x80]);
    expect([config.read(8, 32), config.read(0x2c, 32), config.read(0x3d, 8)]).toEqual([0x0200_0003, 0x1100_1af4, 1]);
    for (const offset of [0, 8, 0x2c]) config.write(offset, 32, 0xffff_ffff);
    expect([config.read(0, 32), config.read(8, 32), config.read(0x2c, 32), writes]).toEqual([0x100e_8086, 0x0200_0003, 0x1100_1af4, []]);
  });

  test("capabilities, expansion ROM and the vendor's registers read 0 and take nothing", () => {
    const { config, writes } = filter();
    for (const offset of [0x30, 0x34, 0x40, 0x50, 0xdc, 0xfc]) {
      config.write(offset, 32, 0xffff_ffff);
      expect(config.read(offset, 32)).toBe(0);
    }
    expect(writes).toEqual([]);
  });
});

describe("base addresses", () => {
  test("are sized by writing ones, and moved without the device noticing", () => {
    const { config, writes } = filter();
    for (const bar of [0, 1, 2, 3]) config.write(0x10 + 4 * bar, 32, 0xffff_ffff);
    expect([0, 1, 2, 3, 4].map((bar) => config.read(0x10 + 4 * bar, 32))).toEqual([0xfffe_0000, 0xffff_ffc1, 0xffff_c00c, 0xffff_ffff, 0]);
    config.write(0x10, 32, 0xe000_0000);
    expect([config.read(0x10, 32), writes]).toEqual([0xe000_0000, []]);
  });
});

describe("the command register", () => {
  test("bus mastering is believed, never done", () => {
    const { config, real } = filter();
    config.write(PciConfig.command, 16, real.command | PciCommand.busMaster);
    expect([config.read(PciConfig.command, 16) & PciCommand.busMaster, real.command & PciCommand.busMaster]).toEqual([PciCommand.busMaster, 0]);
    real.command |= PciCommand.busMaster;
    config.write(PciConfig.command, 16, 0);
    expect(real.command & PciCommand.busMaster).toBe(PciCommand.busMaster);
  });

  test("decoding and the own interrupt are the driver's; the rest stays", () => {
    const { config, real } = filter();
    config.write(PciConfig.command, 16, PciCommand.memorySpace | PciCommand.interruptDisable);
    expect(real.command).toBe(0x0100 | PciCommand.memorySpace | PciCommand.interruptDisable);
    config.write(PciConfig.command + 1, 8, 0);
    expect(real.command).toBe(0x0100 | PciCommand.memorySpace);
  });

  test("errors in the status register are cleared, and nothing else of it is written", () => {
    const { config, writes } = filter();
    config.write(PciConfig.status, 16, 0xffff);
    expect(writes).toEqual([[PciConfig.status, 16, 0xf900]]);
  });
});

test("no sequence of accesses reaches a register but command and status, or sets the device's bus mastering", () => {
  const access = fc.record({ offset: fc.nat(255), width: fc.constantFrom<AccessWidth>(8, 16, 32), value: fc.integer({ min: 0, max: 0xffff_ffff }) });
  fc.assert(fc.property(fc.array(access, { maxLength: 40 }), (accesses) => {
    const { config, real, writes } = filter();
    for (const { offset, width, value } of accesses) {
      const at = offset & ~((width >> 3) - 1);
      config.write(at, width, value % 2 ** width);
      const seen = config.read(at, width);
      expect(Number.isInteger(seen) && seen >= 0 && seen < 2 ** width).toBe(true);
    }
    for (const [offset] of writes) expect([PciConfig.command, PciConfig.status]).toContain(offset);
    expect(real.command & PciCommand.busMaster).toBe(0);
    expect(config.read(0, 32)).toBe(0x100e_8086);
  }));
});
