import { expect, test } from "vitest";
import { sourceTables } from "./source-tables.ts";

test("PnP and device tree ids, under whatever condition; comments and other tables say nothing", () => {
  expect(sourceTables([`
#ifdef CONFIG_PNP
static const struct pnp_device_id ids[] = {
	{ .id = "PNP0b00", },
	{ .id = "PNP0b01", }, /* { "PNP0c0c" } */
	{ },
};
#endif
static const __maybe_unused struct of_device_id of_match[] = {
	{ .compatible = "motorola,MC146818" },
	// { .compatible = "no,one" },
	{},
};
static const struct pci_device_id pci[] = { { PCI_DEVICE(1, 2) }, };
`, "static struct acpi_device_id a[2] __initdata = {\n\t{ \"PNP0b00\", 0 },\n\t{ \"ABCD\" },\n};"])).toEqual({ pnp: ["pnp0b00", "pnp0b01"], deviceTree: ["motorola,mc146818"] });
  expect(sourceTables(["", "struct pnp_device_id x[] = {"])).toEqual({ pnp: [], deviceTree: [] });
});
