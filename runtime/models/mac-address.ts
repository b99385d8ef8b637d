/** The Ethernet address that a machine file gives a card. */
import { AirlockError } from "../api/errors.ts";
import type { DeviceDescription } from "../bus/device.ts";

const defaultMac = "52:54:00:12:34:56";

/** The option `mac`. @throws AirlockError InvalidArgument when it is no unicast address of six hexadecimal bytes */
export function macAddress({ name: device, options }: DeviceDescription): Uint8Array {
  const text = String(options["mac"] ?? defaultMac);
  const mac = Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
  if (/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text) && (mac[0]! & 1) === 0) return mac;
  const message = `device "${device}": option mac is "${text}", not a unicast address such as "${defaultMac}"`;
  throw new AirlockError("InvalidArgument", message, { device, option: "mac" });
}
