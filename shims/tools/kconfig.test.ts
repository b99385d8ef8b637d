import { expect, test } from "vitest";
import { parseKconfig } from "./kconfig.ts";

test("symbols with what they select; help texts say nothing", () => {
  const text = `menu "Cards"
config CARD
	tristate "A card"
	depends on PCI && (BASE || BASE_OLD=n) \\
		&& !ARCH # && NOT
	select CRC32
	select MII if NET
	help
	  config NOT_ONE
	  select NOTHING

config DEBUG
	bool
	prompt "Say more"
	default y

menuconfig BUS
	def_tristate m
	imply CARD
endmenu

if BUS && NET
menu "Inner"
	depends on SOMETHING
config INNER
	tristate
	depends on BUS
endif
config AFTER
	bool
`;
  expect(parseKconfig(text)).toEqual([
    { name: "CARD", tristate: true, selects: ["CRC32", "MII"], alwaysSelects: ["CRC32"], needs: ["PCI", "BASE"], conditions: ["PCI && (BASE || BASE_OLD=n) && !ARCH"], prompt: "A card" },
    { name: "DEBUG", tristate: false, selects: [], alwaysSelects: [], needs: [], conditions: [], prompt: "Say more" },
    { name: "BUS", tristate: true, selects: [], alwaysSelects: [], needs: [], conditions: [], prompt: "" },
    { name: "INNER", tristate: true, selects: [], alwaysSelects: [], needs: ["BUS", "NET", "BUS"], conditions: ["BUS && NET", "BUS"], prompt: "" },
    { name: "AFTER", tristate: false, selects: [], alwaysSelects: [], needs: [], conditions: [], prompt: "" },
  ]);
});
