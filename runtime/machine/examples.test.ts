/** The example machines load, and their drivers match their devices. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
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
