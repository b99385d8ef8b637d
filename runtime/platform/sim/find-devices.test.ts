/** What gets plugged into which simulated device. */
import { expect, test } from "vitest";
import type { DeviceDescription } from "../../bus/device.ts";
import { findSimDevices } from "./find-devices.ts";
import { nothingOnNetwork, nothingOnSerial } from "./peers/none.ts";

const describeDevice = (name: string, compatible: string, options: DeviceDescription["options"]): DeviceDescription =>
  ({ name, compatible: [compatible], windows: {}, irqs: {}, options });

test("a network card gets a network peer, a serial port a serial one, and both nothing by default", async () => {
  const [nic, com, bareNic, bareCom] = await findSimDevices([
    describeDevice("nic", "e1000", { peer: "host" }), describeDevice("com", "uart-16550", { peer: "echo" }),
    describeDevice("bare-nic", "82540em", {}), describeDevice("bare-com", "uart-16550", {}),
  ]);
  expect(nic!.network).not.toBe(nothingOnNetwork);
  expect(nic!.serial).toBe(nothingOnSerial);
  expect(com!.serial).not.toBe(nothingOnSerial);
  expect(com!.network).toBe(nothingOnNetwork);
  expect([bareNic!.network, bareCom!.serial]).toEqual([nothingOnNetwork, nothingOnSerial]);
});

test.each([
  ["e1000", "echo", /device "it": there is no network peer "echo"; there are host, none, tap/],
  ["uart-16550", "host", /device "it": there is no serial peer "host"; there are echo, none/],
])("%s with peer %s is refused, by name", async (compatible, peer, message) => {
  await expect(findSimDevices([describeDevice("it", compatible, { peer })])).rejects.toThrow(message);
});
