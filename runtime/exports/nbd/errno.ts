/** What an error of a volume is to an NBD client. */
import { isAirlockError } from "../../api/errors.ts";
import { Errno } from "./protocol.ts";

/** Statuses of the block class (`fields.status` of DeviceError) that have an error value of their own; all others are EIO. */
const byStatus: Readonly<Record<string, Errno>> = { noSpace: Errno.nospc, outOfRange: Errno.inval };

/** A driver that is held gives EIO and not ESHUTDOWN: it may come back, and the client need not go. */
export function errnoOf(error: unknown): Errno {
  if (!isAirlockError(error)) return Errno.io;
  switch (error.code) {
    case "InvalidArgument": return Errno.inval;
    case "Unsupported": return error.fields["status"] === "readOnly" ? Errno.perm : Errno.notsup;
    case "DeviceError": {
      const status = String(error.fields["status"] ?? "");
      return Object.hasOwn(byStatus, status) ? byStatus[status]! : Errno.io;
    }
    default: return Errno.io;
  }
}
