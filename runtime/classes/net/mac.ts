/** Ethernet addresses: as text, as the 48-bit number of the contract, and as six bytes. */

/** Bytes of an address. */
export const macBytes = 6;

const text = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;

/** "52:54:00:12:34:56" as a number, first byte highest; undefined for anything else. */
export function parseMac(mac: string): number | undefined {
  return text.test(mac) ? Number.parseInt(mac.replaceAll(":", ""), 16) : undefined;
}

export function formatMac(mac: number): string {
  return mac.toString(16).padStart(2 * macBytes, "0").replace(/..(?!$)/g, "$&:");
}

/** The six bytes in the order they have on the wire. */
export function macToBytes(mac: number): Uint8Array {
  return Uint8Array.from({ length: macBytes }, (_, index) => Math.floor(mac / 2 ** (8 * (macBytes - 1 - index))) % 256);
}

/** Whether the address is of a group: multicast or broadcast, never of one station. IEEE 802 section 8.2.2. */
export function isGroup(mac: number): boolean {
  return Math.floor(mac / 2 ** 40) % 2 === 1;
}
