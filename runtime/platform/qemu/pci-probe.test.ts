import { describe, expect, test } from "vitest";
import type { AccessWidth } from "../../api/grants.ts";
import type { PciConfigAccess } from "../../bus/pci-config-filter.ts";
import { configAccess, identityDifferences, probeFunction } from "./pci-probe.ts";

/** A configuration space whose base addresses keep the bits that `masks` allow and whose lowest bits are `types`. */
function fakeFunction(bytes: Readonly<Record<number, number>>, bars: readonly (readonly [mask: number, type: number])[]): PciConfigAccess {
  const space = new DataView(new ArrayBuffer(256));
  for (const [offset, value] of Object.entries(bytes)) space.setUint32(Number(offset), value, true);
  const read = (offset: number, width: AccessWidth): number =>
    width === 8 ? space.getUint8(offset) : width === 16 ? space.getUint16(offset, true) : space.getUint32(offset, true);
  return {
    read,
    write: (offset, width, value) => {
      const bar = bars[(offset - 0x10) / 4];
      if (offset >= 0x10 && offset < 0x28) space.setUint32(offset, bar === undefined ? 0 : (((value & bar[0]) | bar[1]) >>> 0), true);
      else if (width === 16) space.setUint16(offset, value, true);
    },
  };
}

const header = { 0x00: 0x0010_1b36, 0x04: 0x0010_0007, 0x08: 0x0108_0202, 0x2c: 0x1100_1af4, 0x3c: 0x0100 };

describe("what is on the bus", () => {
  test("a function tells its identity: 64-bit and port base addresses, MSI-X, reset", () => {
    const found = probeFunction(fakeFunction({
      ...header, 0x34: 0x40, 0x40: 0x0040_8011, 0x44: 0x2000, 0x48: 0x3000, 0x80: 0x0092_6010, 0x84: 0x1000_8000, 0x60: 0x0003_0001,
    }, [[0xffff_c000, 4], [0xffff_ffff, 0], [0xffff_ffc0, 1], [0xffff_0000, 8]]));
    expect(found!.identity).toEqual({
      vendorId: 0x1b36, deviceId: 0x0010, classCode: 0x010802, revision: 2, subsystemVendorId: 0x1af4, subsystemId: 0x1100, interruptPin: 1,
      bars: [
        { index: 0, kind: "mmio", sizeBytes: 0x4000, is64Bit: true }, { index: 2, kind: "port", sizeBytes: 0x40 },
        { index: 3, kind: "mmio", sizeBytes: 0x1_0000, prefetchable: true },
      ],
      msix: { vectors: 65, bar: 0, tableOffset: 0x2000, pendingOffset: 0x3000 }, functionReset: true,
    });
    expect([...found!.capabilities]).toEqual([[0x11, 0x40], [0x10, 0x80], [0x01, 0x60]]);
  });

  test("an empty slot is nobody, and a list of capabilities that is a circle ends", () => {
    expect(probeFunction(fakeFunction({ 0x00: 0xffff_ffff }, []))).toBeUndefined();
    const found = probeFunction(fakeFunction({ ...header, 0x34: 0x40, 0x40: 0x4009 }, []));
    expect([...found!.capabilities]).toEqual([[0x09, 0x40]]);
  });

  test("another function than expected is named by what differs", () => {
    const { identity } = probeFunction(fakeFunction(header, [[0xffff_c000, 4], [0xffff_ffff, 0]]))!;
    expect(identityDifferences(identity, identity)).toEqual([]);
    const expected = { ...identity, deviceId: 0x11, bars: [], msix: { vectors: 1, bar: 0, tableOffset: 0, pendingOffset: 8 } };
    expect(identityDifferences(identity, expected)).toEqual([
      "deviceId is 0x10, not 0x11", "bars is bar0:mmio64:0x4000, not none", "msix is none, not 1/0/0/8",
    ]);
  });

  test("configuration space is reached through its two ports", () => {
    const log: string[] = [];
    const config = configAccess({
      readPort: (port, width) => (log.push(`read ${port.toString(16)}/${width}`), 0x42),
      writePort: (port, width, value) => void log.push(`write ${port.toString(16)}/${width} ${value.toString(16)}`),
    }, 0x18);
    expect(config.read(0x3d, 8)).toBe(0x42);
    config.write(0x06, 16, 0xf900);
    expect(log).toEqual(["write cf8/32 8000c03c", "read cfd/8", "write cf8/32 8000c004", "write cfe/16 f900"]);
  });
});
