import { expect, test } from "vitest";
import { compatibleNames } from "./compatible-names.ts";
import { driverClass } from "./driver-class.ts";
import type { PciId } from "./module-facts.ts";
import { otherNeeds, pciNeeds, standardDevice } from "./needs.ts";

const facts = (pci: readonly Partial<PciId>[], aliases: readonly string[] = []) => ({
  aliases, pci: pci.map((id): PciId => ({ vendor: undefined, device: undefined, subVendor: undefined, subDevice: undefined, classCode: 0, classMask: 0, ...id })),
});
const none = { pnp: [], deviceTree: [] };

test("names of PCI devices, with subsystems and by class; what matches anything is no name", () => {
  expect(compatibleNames("some_card", facts([
    { vendor: 0x10ec, device: 0x8029 }, { vendor: 0x8086, device: 0x100e, subVendor: 0x103c, subDevice: 1 },
    { classCode: 0x02_0000, classMask: 0xff_ffff }, { classCode: 0x0c_0300, classMask: 0xff_ff00 }, { vendor: 0x10ec }, {},
  ]), none)).toEqual(["some_card", "pci10ec,8029", "pci8086,100e.103c.0001", "pciclass,020000", "pciclass,0c03"]);
});

test("names of other devices; each once", () => {
  expect(compatibleNames("a-clock", facts([], ["platform:a_clock", "platform:a_clock", "pci:v*"]), { pnp: ["pnp0b00"], deviceTree: ["maker,chip", "a-clock"] }))
    .toEqual(["a-clock", "pnp,pnp0b00", "maker,chip", "platform,a_clock"]);
});

test("a driver's class is the subsystem it registers with; a network card's clock does not make it one", () => {
  expect(driverClass(new Set(["register_netdev", "hwrng_register"]))).toEqual({ title: "network", className: "net" });
  expect(driverClass(new Set(["devm_hwrng_register"]))).toEqual({ title: "hw_random", className: undefined });
  expect(driverClass(new Set(["printk"]))).toBeUndefined();
});

test("needs: a PCI device's windows are optional, a standard device has its names, another whatever there is", () => {
  expect(Object.keys(pciNeeds(true).windows)).toEqual(["bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "config"]);
  expect(pciNeeds(true).dma).toMatchObject({ heap: {}, buffers: { use: "buffers", visible: true } });
  expect(pciNeeds(false).dma).not.toHaveProperty("buffers");
  expect(otherNeeds(standardDevice(["pnp0b00"]), { windows: [], irqs: [] })).toEqual({ windows: { cmos: { rights: "readwrite", widths: [8] } }, irqs: [], optionalIrqs: ["tick"], dma: {} });
  expect(otherNeeds(standardDevice(["pnp0b00"]), { windows: ["clock"], irqs: ["alarm"] })).toMatchObject({ windows: { clock: {} }, optionalIrqs: ["alarm"] });
  expect(otherNeeds(undefined, { windows: [], irqs: [] })).toMatchObject({ windows: { ports0: { optional: true }, regs3: { optional: true } }, optionalIrqs: ["irq0", "irq1", "irq2", "irq3"] });
});
