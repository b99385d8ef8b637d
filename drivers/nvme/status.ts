/** What a completion's status field means to the block class. Source: NVM Express Base Specification 1.4, section 4.6.1. */
import { BlockStatus } from "airlock/driver/block";

/** Status code and its type, without the "more" and "do not retry" bits: type in bits 10-8. */
const codeMask = 0x7ff;

/** Status codes by type (4.6.1.2), those that mean more than that something failed. */
const meanings: ReadonlyMap<number, BlockStatus> = new Map([
  [0x000, BlockStatus.ok],
  [0x001, BlockStatus.unsupported], // invalid command opcode
  [0x005, BlockStatus.aborted], // power loss notification
  [0x007, BlockStatus.aborted], // abort requested
  [0x008, BlockStatus.aborted], // submission queue deleted
  [0x020, BlockStatus.readOnly], // namespace is write protected
  [0x080, BlockStatus.outOfRange], // LBA out of range
  [0x081, BlockStatus.noSpace], // capacity exceeded
  [0x182, BlockStatus.readOnly], // write to read only range
]);

/** Media and data integrity errors have a type of their own. */
const mediaType = 2;
/** Of those, access denied (86h) says nothing about the medium. */
const accessDenied = 0x286;

/** `status` is the field as the device gave it, its lowest bit at bit 0. */
export function blockStatus(status: number): BlockStatus {
  const code = status & codeMask;
  return meanings.get(code) ?? (code >> 8 === mediaType && code !== accessDenied ? BlockStatus.mediaError : BlockStatus.ioError);
}

/** For logs and errors: "status 0x4080". */
export function statusText(status: number): string {
  return `status 0x${status.toString(16).padStart(4, "0")}`;
}
