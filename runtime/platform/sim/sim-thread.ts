/** The entry of the sim platform's hardware thread. */
import { workerData } from "node:worker_threads";
import { realClock } from "../../api/clock.ts";
import { runHardwareLoop } from "../../bus/hardware-loop.ts";
import type { HardwareThreadData } from "../../bus/hardware-thread.ts";
import { ownProcessors } from "../../native/processors.ts";
import { openRam } from "../../native/ram.ts";
import { findSimDevices } from "./find-devices.ts";
import { SimBackend } from "./sim-backend.ts";
import type { SimThreadOptions } from "./sim-platform.ts";

const { doorbell, control, platform } = workerData as HardwareThreadData<SimThreadOptions>;
const devices = await findSimDevices(platform.devices);
const ram = platform.ram && openRam(platform.ram);
runHardwareLoop(new SimBackend({ devices, epochMs: platform.epochMs, clock: realClock, ram, directory: platform.directory }), doorbell, control, ownProcessors());
control.close();
