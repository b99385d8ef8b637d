/** Whether tests can use QEMU here. Without it they are skipped with the reason printed; in CI that is a failure. */
import { isAirlockError } from "../../runtime/api/errors.ts";
import { findQemu } from "../../runtime/platform/qemu/find-qemu.ts";

/** Set to 1 where QEMU is part of the deal, as in CI: then a missing one fails the tests that need it. */
const requireVariable = "AIRLOCK_REQUIRE_QEMU";

/**
 * For `describe.skipIf(!(await qemuAvailable()))`. Looks at AIRLOCK_QEMU as the platform does.
 * @throws AirlockError PlatformUnavailable when there is no usable QEMU and AIRLOCK_REQUIRE_QEMU=1
 */
export async function qemuAvailable(): Promise<boolean> {
  try {
    await findQemu();
    return true;
  } catch (error) {
    if (!isAirlockError(error, "PlatformUnavailable") || process.env[requireVariable] === "1") throw error;
    process.stderr.write(`skipping the tests that need QEMU: ${error.message}\n`);
    return false;
  }
}
