/** The DMA part of the platform suite on every platform that has DMA. */
import { describe } from "vitest";
import { VirtualClock, realClock } from "../../runtime/api/clock.ts";
import type { BusPort } from "../../runtime/bus/bus-port.ts";
import { type ChannelHandle, ChannelPort } from "../../runtime/bus/channel-port.ts";
import type { DeviceDescription } from "../../runtime/bus/device.ts";
import type { InlineHandle } from "../../runtime/bus/inline-connection.ts";
import type { BusConnection } from "../../runtime/bus/platform.ts";
import { describeDevices as describeOnQemu } from "../../runtime/platform/qemu/describe.ts";
import { startPlatform as startQemu } from "../../runtime/platform/qemu/start.ts";
import { describeDevices } from "../../runtime/platform/sim/describe.ts";
import { InlineSimPlatform } from "../../runtime/platform/sim/inline-platform.ts";
import { SimPlatform } from "../../runtime/platform/sim/sim-platform.ts";
import { platformDmaSuite } from "./platform-dma.suite.ts";
import { qemuAvailable } from "./qemu-available.ts";

const disks: readonly DeviceDescription[] = [4, 5].map((slot, index) => ({
  name: `nvme${index}`, compatible: ["nvme"], windows: {}, irqs: {}, options: { sizeBytes: 1 << 20 }, pci: { address: `00:0${slot}.0` },
}));

const channelPort = (connection: BusConnection): BusPort => new ChannelPort(connection.handle as ChannelHandle);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

platformDmaSuite({
  name: "sim, in a thread",
  open: async () => ({
    platform: await SimPlatform.start({ devices: await describeDevices(disks), epochMs: 0, directory: "." }, realClock), port: channelPort, advance: sleep,
  }),
});

platformDmaSuite({
  name: "sim, inline",
  open: async () => {
    const clock = new VirtualClock();
    return {
      platform: await InlineSimPlatform.start({ devices: await describeDevices(disks), epochMs: 0, directory: "." }, clock),
      port: ({ handle }) => (handle as InlineHandle).port,
      advance: async (ms) => clock.advance(ms * 1000),
    };
  },
});

describe.skipIf(!(await qemuAvailable()))("on QEMU", () => {
  platformDmaSuite({
    name: "QEMU",
    open: async () => ({ platform: await startQemu({ machine: "q35" }, await describeOnQemu(disks), realClock, "."), port: channelPort, advance: sleep }),
  });
});
