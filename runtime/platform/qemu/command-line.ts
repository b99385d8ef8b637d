/** QEMU's command line for a list of devices: a machine without anything of its own choice, stopped in time. */
import path from "node:path";
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription } from "../../bus/device.ts";
import { findKind } from "./devices/find-kind.ts";
import { type SerialConnector, peerOf } from "./serial-peers.ts";

/** Machine types with the devices and the interrupt wiring that this platform knows. */
export const machineTypes = ["q35", "pc"] as const;
export type MachineType = (typeof machineTypes)[number];

export interface MachinePlan {
  readonly args: readonly string[];
  readonly connectors: readonly SerialConnector[];
}

export interface MachineWish {
  readonly machine: MachineType;
  readonly devices: readonly DeviceDescription[];
  /** Civil time of the clock at power-on, milliseconds since the Unix epoch; QEMU takes whole seconds. */
  readonly epochMs: number;
  /** The private directory for FIFOs and sockets. */
  readonly folder: string;
}

/** No code runs on the machine; the firmware still wants room. */
const memoryMegabytes = 16;

/** sun_path of a Unix socket address, with its final zero. */
const maxSocketPathBytes = 107;

/** Years that QEMU's `-rtc base` and the clock's century byte can tell. */
const earliestEpochMs = Date.UTC(1970, 0, 1);
const endEpochMs = Date.UTC(10_000, 0, 1);

/** Names of the FIFOs that QEMU derives from the one path it is given. */
export const fifoNames = { command: "qtest.in", reply: "qtest.out" } as const;

/**
 * @throws AirlockError InvalidArgument or NotFound for a device that QEMU cannot provide as described,
 *   PlatformUnavailable when the directory's path is too long for a socket
 */
export async function planMachine(wish: MachineWish): Promise<MachinePlan> {
  if (!machineTypes.includes(wish.machine)) {
    throw new AirlockError("InvalidArgument", `QEMU machine "${String(wish.machine)}": not one of ${machineTypes.join(", ")}`, { platform: "qemu" });
  }
  const args = [
    "-no-user-config", "-nodefaults", "-display", "none", "-accel", "qtest", "-machine", wish.machine, "-m", String(memoryMegabytes),
    "-rtc", `clock=vm,base=${rtcBase(wish.epochMs)}`,
    "-chardev", `pipe,id=qtest,path=${optionValue(path.join(wish.folder, "qtest"))}`, "-qtest", "chardev:qtest", "-qtest-log", "none",
  ];
  const connectors: SerialConnector[] = [];
  for (const [index, device] of wish.devices.entries()) {
    const kind = await findKind(device.compatible);
    const id = `dev${index}`;
    const socketPath = path.join(wish.folder, id);
    const plan = kind.build(device, { id, socketPath: optionValue(socketPath) });
    args.push(...plan.args);
    if (!plan.serial) continue;
    if (Buffer.byteLength(socketPath) > maxSocketPathBytes) {
      throw new AirlockError("PlatformUnavailable", `the temporary directory's path is too long for a socket: ${socketPath}; set TMPDIR to a shorter one`);
    }
    connectors.push({ device: device.name, socketPath, peer: peerOf(device) });
  }
  return { args, connectors };
}

/** "2026-11-03T12:00:00" */
function rtcBase(epochMs: number): string {
  if (!(epochMs >= earliestEpochMs && epochMs < endEpochMs)) {
    throw new AirlockError("InvalidArgument", `civil time ${String(epochMs)} ms: QEMU's clock starts in the years 1970 to 9999`, { platform: "qemu" });
  }
  return new Date(epochMs).toISOString().slice(0, 19);
}

/** In a QEMU option a comma is written twice. */
function optionValue(text: string): string {
  return text.replaceAll(",", ",,");
}
