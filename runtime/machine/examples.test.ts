/** The example machines load, and their drivers match their devices. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { noExtensions } from "../../test/fixtures/machine-files.ts";
import { loadMachine } from "./load.ts";

describe.each(["lab.yaml", "lab-qemu.yaml"])("%s", (name) => {
  test("it loads with both drivers and no export", () => {
    const machine = loadMachine(fileURLToPath(new URL(`examples/${name}`, import.meta.url)), noExtensions);
    expect(machine.drivers.map((one) => [one.name, one.package.manifest.class, one.entry.sandbox])).toEqual([["clock", "rtc", "quickjs"], ["console", "serial", "quickjs"]]);
    expect(machine.devices.map((one) => one.irqs)).toEqual([{ tick: 8 }, { line: 4 }]);
    expect(machine.exports).toEqual([]);
  });
});

describe.each([
  ["disk.yaml", "disk", "block", { nbd: { type: "nbd", driver: "disk" } }], ["disk-qemu.yaml", "disk", "block", { nbd: { type: "nbd", driver: "disk" } }],
  ["nic.yaml", "nic", "net", { tap: { type: "tap", driver: "nic" } }], ["nic-qemu.yaml", "nic", "net", { tap: { type: "tap", driver: "nic" } }],
  ["watchdog.yaml", "watchdog", "watchdog", { wdt: { type: "watchdog", driver: "watchdog" } }],
  ["watchdog-qemu.yaml", "watchdog", "watchdog", { wdt: { type: "watchdog", driver: "watchdog" } }],
])("%s", (name, driver, className, exports) => {
  test("it loads with its one driver and its export", () => {
    const loose = z.looseObject({});
    const machine = loadMachine(fileURLToPath(new URL(`examples/${name}`, import.meta.url)), { exports: { nbd: loose, tap: loose, watchdog: loose } });
    expect(machine.drivers.map((one) => [one.name, one.package.manifest.class, one.entry.sandbox])).toEqual([[driver, className, "quickjs"]]);
    expect(machine.devices[0]?.pci?.address).toMatch(/^00:0[456]\.0$/);
    expect(Object.fromEntries(machine.exports.map(({ name: key, type, driver: of }) => [key, { type, driver: of }]))).toEqual(exports);
  });
});
