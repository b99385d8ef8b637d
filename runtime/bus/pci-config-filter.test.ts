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

  test("what a device could have and the real one shall not is believed: parity, system errors, memory write and invalidate", () => {
    const { config, real, writes } = filter();
    const believed = PciCommand.parityError | PciCommand.serr | PciCommand.writeInvalidate;
    expect(config.read(PciConfig.command, 16) & believed).toBe(0);
    config.write(PciConfig.command, 16, believed);
    expect(config.read(PciConfig.command, 16) & believed).toBe(believed);
    expect([real.command, writes.every(([, , value]) => (value & believed) === (0x0103 & believed))]).toEqual([0x0100, true]);
    config.write(PciConfig.command, 8, PciCommand.parityError);
    expect(config.read(PciConfig.command, 16) & believed).toBe(PciCommand.parityError | PciCommand.serr);
  });

  test("the status register shows errors and the asserted interrupt, and no list of capabilities", () => {
    const { config, real } = filter();
    real.status = 0xffff;
    expect(config.read(PciConfig.status, 16)).toBe(0xf908);
    real.status = 0;
    expect(config.read(PciConfig.status, 16)).toBe(0);
  });

  test("errors in the status register are cleared, and nothing else of it is written", () => {
    const { config, writes } = filter();
    config.write(PciConfig.status, 16, 0xffff);
    expect(writes).toEqual([[PciConfig.status, 16, 0xf900]]);
  });
});

describe("registers of the device's own", () => {
  const own: PciIdentity = { ...identity, deviceRegisters: [{ offset: 0x60, sizeBytes: 2 }, { offset: 0x68, sizeBytes: 1 }, { offset: 0x6c, sizeBytes: 4 }] };

  function device() {
    const bytes = new DataView(Uint8Array.from({ length: 256 }, (_, at) => at).buffer);
    const accesses: string[] = [];
    const config = new ConfigFilter({
      read: (offset, width) => {
        accesses.push(`read${width} 0x${offset.toString(16)}`);
        return width === 8 ? bytes.getUint8(offset) : width === 16 ? bytes.getUint16(offset, true) : bytes.getUint32(offset, true);
      },
      write: (offset, width, value) => void accesses.push(`write${width} 0x${offset.toString(16)} 0x${value.toString(16)}`),
    }, own);
    return { config, accesses };
  }

  test("are read and written as wide as they are, and nothing beside them", () => {
    const { config, accesses } = device();
    expect([config.read(0x60, 16), config.read(0x60, 32), config.read(0x61, 8), config.read(0x68, 8), config.read(0x68, 32), config.read(0x6c, 32), config.read(0x6e, 16)])
      .toEqual([0x6160, 0x6160, 0x61, 0x68, 0x68, 0x6f6e_6d6c, 0x6f6e]);
    expect(accesses.splice(0)).toEqual(["read16 0x60", "read16 0x60", "read8 0x61", "read8 0x68", "read8 0x68", "read32 0x6c", "read16 0x6e"]);
    config.write(0x60, 32, 0x1234_5678);
    config.write(0x68, 32, 0xffff_ff01);
    config.write(0x6c, 32, 0x8765_4321);
    config.write(0x6d, 8, 0xab);
    expect(accesses.splice(0)).toEqual(["write16 0x60 0x5678", "write8 0x68 0x1", "write32 0x6c 0x87654321", "write8 0x6d 0xab"]);
    for (const offset of [0x40, 0x5c, 0x64, 0x70, 0xfc]) {
      config.write(offset, 32, 0xffff_ffff);
      expect(config.read(offset, 32)).toBe(0);
    }
    config.write(0x62, 16, 0xffff);
    expect([config.read(0x62, 16), config.read(0x69, 8), accesses]).toEqual([0, 0, []]);
  });

  test.each([{ offset: 0x3c, sizeBytes: 4 }, { offset: 0x04, sizeBytes: 2 }, { offset: 0x61, sizeBytes: 2 }, { offset: 0xfe, sizeBytes: 4 }, { offset: 256, sizeBytes: 1 }, { offset: NaN, sizeBytes: 1 }] as const)(
    "cannot be in the header, beyond the end, or crooked: %j", (register) => {
      expect(() => new ConfigFilter({ read: () => 0, write: () => undefined }, { ...identity, deviceRegisters: [register] })).toThrow(RangeError);
    },
  );

  test("no sequence of accesses reaches anything else beyond the header", () => {
    const access = fc.record({ offset: fc.integer({ min: 64, max: 255 }), width: fc.constantFrom<AccessWidth>(8, 16, 32), value: fc.integer({ min: 0, max: 0xffff_ffff }), write: fc.boolean() });
    fc.assert(fc.property(fc.array(access, { maxLength: 40 }), (accesses) => {
      const inside = (offset: number, width: AccessWidth): boolean =>
        own.deviceRegisters!.some((register) => offset >= register.offset && offset + width / 8 <= register.offset + register.sizeBytes && offset % (width / 8) === 0);
      const touched: boolean[] = [];
      const config = new ConfigFilter({
        read: (offset, width) => {
          touched.push(inside(offset, width));
          return 2 ** width - 1;
        },
        write: (offset, width, value) => void touched.push(inside(offset, width) && value < 2 ** width),
      }, own);
      for (const { offset, width, value, write } of accesses) {
        const at = offset & ~((width >> 3) - 1);
        if (write) config.write(at, width, value % 2 ** width);
        const seen = config.read(at, width);
        expect(Number.isInteger(seen) && seen >= 0 && seen < 2 ** width).toBe(true);
      }
      expect(touched.every((one) => one)).toBe(true);
    }));
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
