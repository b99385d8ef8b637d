/** The file that keeps a disk's contents: there, writable and long enough before QEMU opens it. */
import fs from "node:fs";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { StoreFile } from "./devices/kind.ts";

/** One block of a disk. */
const leastBytes = 512;

/** Makes a disk's file when it is missing, and as long as `sizeBytes`. @throws AirlockError InvalidArgument when it cannot be written or would be empty */
export function prepareStoreFile({ device, path, sizeBytes }: StoreFile): void {
  const refusal = (why: string, cause?: unknown): AirlockError =>
    new AirlockError("InvalidArgument", `device "${device}" on QEMU: the file ${path} cannot be its disk: ${why}`, { device, option: "file" }, { cause });
  try {
    const fd = fs.openSync(path, sizeBytes === undefined ? fs.constants.O_RDWR : fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    try {
      const now = fs.fstatSync(fd);
      if (!now.isFile()) throw refusal("it is no regular file");
      if (now.size < (sizeBytes ?? leastBytes)) {
        if (sizeBytes === undefined) throw refusal("it has not even one block; say how large the disk is with sizeBytes");
        fs.ftruncateSync(fd, sizeBytes);
      }
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    if (error instanceof AirlockError) throw error;
    const isMissing = sizeBytes === undefined && (error as NodeJS.ErrnoException).code === "ENOENT";
    throw refusal(isMissing ? "there is none; say with sizeBytes how large a disk to make" : errorText(error), error);
  }
}
