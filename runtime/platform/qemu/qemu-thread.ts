/** The entry of the QEMU platform's hardware thread. */
import { workerData } from "node:worker_threads";
import { realClock } from "../../api/clock.ts";
import { runHardwareLoop } from "../../bus/hardware-loop.ts";
import type { HardwareThreadData } from "../../bus/hardware-thread.ts";
import { ownProcessors } from "../../native/processors.ts";
import { createQemuBackend, type QemuBackendSetup } from "./qemu-backend.ts";

const { doorbell, control, platform } = workerData as HardwareThreadData<QemuBackendSetup>;
runHardwareLoop(createQemuBackend(platform, realClock), doorbell, control, ownProcessors());
control.close();
