/** Checksums that network cards compute: the Internet's ones' complement sum, and Ethernet's CRC. Source: RFC 1071; IEEE 802.3, 3.2.9. */

/** Puts the complement of the sum of bytes `start` to `end` (exclusive) at `at`; without effect where that leaves the frame. */
export function insertInternetChecksum(frame: Uint8Array, start: number, end: number, at: number): void {
  if (at + 2 > frame.length || start >= frame.length) return;
  const stop = Math.min(end, frame.length);
  let sum = 0;
  for (let byte = start; byte < stop; byte++) sum += (byte - start) % 2 === 0 ? frame[byte]! << 8 : frame[byte]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const checksum = ~sum & 0xffff;
  frame[at] = checksum >> 8;
  frame[at + 1] = checksum & 0xff;
}

const polynomial = 0xedb8_8320;
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ polynomial : value >>> 1;
  return value;
});

/** The frame check sequence of the first `sizeBytes`, as a little-endian word of the wire. */
export function frameCheckSequence(frame: Uint8Array, sizeBytes: number): number {
  let crc = 0xffff_ffff;
  for (let at = 0; at < sizeBytes; at++) crc = table[(crc ^ frame[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
