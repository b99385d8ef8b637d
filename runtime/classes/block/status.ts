/** What a completion's status may be for each operation, and what a client is told of it. */
import { AirlockError } from "../../api/errors.ts";
import { BlockOp, BlockStatus } from "./contract.ts";

const statusNames = Object.entries(BlockStatus).toSorted(([, a], [, b]) => a - b).map(([name]) => name as keyof typeof BlockStatus);
const opNames = Object.entries(BlockOp).toSorted(([, a], [, b]) => a - b).map(([name]) => name as keyof typeof BlockOp);

const range = [BlockStatus.ok, BlockStatus.ioError, BlockStatus.outOfRange, BlockStatus.unsupported, BlockStatus.mediaError, BlockStatus.aborted];

/** By operation: a bit for each status it can end with. */
const possible = [
  bits(...range),
  bits(...range, BlockStatus.readOnly, BlockStatus.noSpace),
  bits(BlockStatus.ok, BlockStatus.ioError, BlockStatus.unsupported, BlockStatus.mediaError, BlockStatus.aborted),
  bits(...range, BlockStatus.readOnly, BlockStatus.noSpace),
  bits(...range, BlockStatus.readOnly),
];

/** Why no device ends this operation so; undefined when it can. */
export function statusRefusal(op: BlockOp, status: number): string | undefined {
  if (status < statusNames.length && (possible[op]! >> status & 1) === 1) return undefined;
  return `${opName(op)} completed with status ${statusNames[status] ?? status}, which it cannot have`;
}

export function opName(op: BlockOp): keyof typeof BlockOp {
  return opNames[op]!;
}

/** The error of a client whose call the device refused or failed. */
export function statusError(driver: string, op: BlockOp, first: number, blocks: number, status: number, detail: number): AirlockError {
  const name = statusNames[status]!;
  const unable = status === BlockStatus.unsupported || status === BlockStatus.readOnly;
  const where = op === BlockOp.flush ? "" : ` of ${blocks} blocks at block ${first}`;
  return new AirlockError(
    unable ? "Unsupported" : "DeviceError",
    `${driver}: the device ended ${opName(op)}${where} with ${name} (its own status 0x${detail.toString(16)}); ${advice(status)}`,
    { driver, operation: opName(op), status: name, detail },
  );
}

function advice(status: number): string {
  switch (status) {
    case BlockStatus.readOnly: return "it cannot be written to";
    case BlockStatus.unsupported: return "it cannot do that";
    case BlockStatus.noSpace: return "give it more space";
    case BlockStatus.aborted: return "it gave up repeatedly; look at its health";
    default: return "copy what can still be read, and replace it";
  }
}

function bits(...statuses: readonly BlockStatus[]): number {
  return statuses.reduce<number>((sum, status) => sum | 1 << status, 0);
}
