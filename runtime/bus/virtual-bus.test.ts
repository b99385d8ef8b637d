import { describe, expect, test } from "vitest";
import { IrqOp } from "../api/bridge.ts";
import { FakeBackend, fakeGrant } from "./test-backend.ts";
import type { BusReport } from "./platform.ts";
import { VirtualBus } from "./virtual-bus.ts";

function rig(change: Partial<typeof fakeGrant> = {}): { backend: FakeBackend; bus: VirtualBus; raised: number[]; reports: BusReport[] } {
  const backend = new FakeBackend();
  const raised: number[] = [];
  const reports: BusReport[] = [];
  const bus = new VirtualBus(backend, { ...fakeGrant, ...change }, { raise: (irq) => raised.push(irq), report: (report) => reports.push(report) });
  return { backend, bus, raised, reports };
}

describe("a virtual bus", () => {
  test("performs what is granted and nothing else", () => {
    const { bus, backend } = rig({ windows: [{ ...fakeGrant.windows[0]!, sizeBytes: 4, rights: "read" }] });
    expect(bus.read(0, 0, 32)).toBe(0);
    expect(() => bus.write(0, 0, 8, 1)).toThrow(expect.objectContaining({ code: "CapabilityViolation" }));
    expect(() => bus.read(0, 4, 8)).toThrow(expect.objectContaining({ code: "CapabilityViolation" }));
    expect(() => bus.read(1, 0, 8)).toThrow(expect.objectContaining({ code: "CapabilityViolation" }));
    expect(backend.journal).toEqual([["read", 0, 32, 0]]);
  });

  test("is not made of what the device lacks, and leaves no sharer of a line then", () => {
    expect(() => rig({ device: "flash" })).toThrow(expect.objectContaining({ code: "NotFound" }));
    expect(() => rig({ irqs: [{ name: "line" }, { name: "none" }] })).toThrow(expect.objectContaining({ code: "NotFound" }));
  });

  test("tells the driver of its line, and the control plane of what it does wrong with it", () => {
    const { backend, bus, raised, reports } = rig();
    bus.irq(0, IrqOp.attach);
    backend.irq.setLevel("test", true);
    expect(raised).toEqual([0]);
    backend.clock.advance(10_000);
    expect(reports).toEqual([{ kind: "irq-unacked", irq: "line", afterMs: 10 }]);
    for (const [line, op] of [[1, IrqOp.ack], [0, 9], [-1, 0]] as const) expect(() => bus.irq(line, op)).toThrow(expect.objectContaining({ code: "CapabilityViolation" }));
  });

  test("a driver that is masked and detached gets no interrupt and holds up no other", () => {
    const { backend, bus, raised } = rig();
    const other: number[] = [];
    const second = new VirtualBus(backend, fakeGrant, { raise: (irq) => other.push(irq), report: () => undefined });
    bus.irq(0, IrqOp.attach);
    second.irq(0, IrqOp.attach);
    backend.irq.setLevel("test", true);
    second.irq(0, IrqOp.ack);
    expect([raised, other]).toEqual([[0], [0]]);
    bus.maskAll();
    bus.detach();
    expect([raised, other]).toEqual([[0], [0, 0]]);
    bus.irq(0, IrqOp.unmask);
    second.irq(0, IrqOp.ack);
    expect([raised, other]).toEqual([[0], [0, 0, 0]]);
    expect(second.grant.driver).toBe("probe");
  });

  test("a quiesce recipe passes the same check as the driver", () => {
    const { bus, backend } = rig();
    bus.write(0, 0, 8, 0xf0);
    bus.quiesce([{ do: "modify", window: "bytes", offset: 0, width: 8, and: 0x30, or: 0x01 }, { do: "read", window: "more", offset: 0, width: 8 }]);
    expect(backend.journal.at(-1)).toEqual(["read", 0, 8, 0x31]);
    expect(() => bus.quiesce([{ do: "write", window: "other", offset: 0, width: 8, value: 0 }])).toThrow(expect.objectContaining({ code: "CapabilityViolation" }));
    expect(() => bus.quiesce([{ do: "write", window: "bytes", offset: 8, width: 8, value: 0 }])).toThrow(expect.objectContaining({ code: "CapabilityViolation" }));
  });
});
