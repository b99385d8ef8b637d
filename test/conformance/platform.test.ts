/** The platform suite on every platform: sim in a thread, sim inline, QEMU. */
import { describe } from "vitest";
import { VirtualClock, realClock } from "../../runtime/api/clock.ts";
import type { BusPort } from "../../runtime/bus/bus-port.ts";
import { type ChannelHandle, ChannelPort } from "../../runtime/bus/channel-port.ts";
import type { DeviceDescription } from "../../runtime/bus/device.ts";
import type { InlineHandle } from "../../runtime/bus/inline-connection.ts";
import type { BusConnection } from "../../runtime/bus/platform.ts";
import { QemuPlatform } from "../../runtime/platform/qemu/qemu-platform.ts";
import { InlineSimPlatform } from "../../runtime/platform/sim/inline-platform.ts";
import { SimPlatform } from "../../runtime/platform/sim/sim-platform.ts";
import { platformSuite } from "./platform.suite.ts";
import { qemuAvailable } from "./qemu-available.ts";

const epochMs = Date.UTC(2026, 10, 20, 12);

/** Both on one line, so that it is shared. */
const devices: readonly DeviceDescription[] = [
  { name: "rtc", compatible: ["mc146818"], windows: { cmos: { kind: "port", base: 0x70, sizeBytes: 2, widths: [8] } }, irqs: { tick: 8 }, options: {} },
  { name: "com1", compatible: ["uart-16550"], windows: { regs: { kind: "port", base: 0x3f8, sizeBytes: 8, widths: [8] } }, irqs: { line: 8 }, options: {} },
];

const channelPort = (connection: BusConnection): BusPort => new ChannelPort(connection.handle as ChannelHandle);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

platformSuite({
  name: "sim, in a thread",
  open: async () => ({ platform: await SimPlatform.start({ devices, epochMs, directory: "." }, realClock), port: channelPort, advance: sleep }),
});

platformSuite({
  name: "sim, inline",
  open: async () => {
    const clock = new VirtualClock();
    return {
      platform: await InlineSimPlatform.start({ devices, epochMs, directory: "." }, clock),
      port: ({ handle }) => (handle as InlineHandle).port,
      advance: async (ms) => clock.advance(ms * 1000),
    };
  },
});

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  platformSuite({
    name: "QEMU",
    open: async () => ({ platform: await QemuPlatform.start({ devices, epochMs }, realClock), port: channelPort, advance: sleep }),
  });
});
