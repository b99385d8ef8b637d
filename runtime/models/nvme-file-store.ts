/** An NVMe namespace's blocks in a file. Its errors are media errors, which a driver has to live with. */
import { closeSync, constants, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { AirlockError, errorText } from "../api/errors.ts";
import type { NvmeStore } from "./nvme-store.ts";

/** Most bytes moved by one call: the buffer that everything passes through. */
const bufferBytes = 262_144;

/** Made when it is not there; never made shorter. */
const openFlags = constants.O_RDWR | constants.O_CREAT;

const zeros = new Uint8Array(bufferBytes);

export class NvmeFileStore implements NvmeStore {
  readonly sizeBytes: number;
  /** Node cannot punch holes, and deallocation is advice: the file keeps what it has. */
  readonly discardsToZeros = false;
  readonly #path: string;
  readonly #buffer = new Uint8Array(bufferBytes);
  #fd: number | undefined;
  #offset = 0;

  /**
   * Makes the file, and makes it as long as the namespace. Without `sizeBytes` the namespace is as large as the file is.
   * @throws AirlockError InvalidArgument when it cannot be opened, or is missing or empty and no size is given
   */
  constructor(path: string, sizeBytes: number | undefined, blockBytes: number) {
    this.#path = path;
    try {
      this.#fd = openSync(path, sizeBytes === undefined ? constants.O_RDWR : openFlags);
      const { size } = fstatSync(this.#fd);
      this.sizeBytes = sizeBytes ?? size - (size % blockBytes);
      if (size < this.sizeBytes) ftruncateSync(this.#fd, this.sizeBytes);
    } catch (error) {
      this.close();
      const isMissing = sizeBytes === undefined && (error as NodeJS.ErrnoException).code === "ENOENT";
      const what = isMissing
        ? `there is no file ${path}; say with sizeBytes how large a disk to make`
        : `the file ${path} cannot be used: ${errorText(error)}; name a file that can be written`;
      throw new AirlockError("InvalidArgument", what, { path, option: "file" }, { cause: error });
    }
    this.close();
    if (this.sizeBytes === 0) throw new AirlockError("InvalidArgument", `the file ${path} is empty; say how large the disk is with sizeBytes`, { path, option: "file" });
  }

  readable(offset: number, limitBytes: number): Uint8Array | undefined {
    const view = this.#buffer.subarray(0, Math.min(bufferBytes, limitBytes));
    return this.#attempt((fd) => {
      for (let done = 0; done < view.length;) {
        const got = readSync(fd, view, done, view.length - done, offset + done);
        // Somebody made the file shorter: a disk that lost its end.
        if (got === 0) return false;
        done += got;
      }
      return true;
    }) ? view : undefined;
  }

  writable(offset: number, limitBytes: number): Uint8Array {
    this.#offset = offset;
    return this.#buffer.subarray(0, Math.min(bufferBytes, limitBytes));
  }

  written(bytes: number): boolean {
    return this.#write(this.#buffer, bytes, this.#offset);
  }

  discard(): void {
    // Advice that is not taken.
  }

  zero(offset: number, sizeBytes: number): boolean {
    for (let done = 0; done < sizeBytes; done += bufferBytes) {
      if (!this.#write(zeros, Math.min(bufferBytes, sizeBytes - done), offset + done)) return false;
    }
    return true;
  }

  sync(): boolean {
    return this.#attempt((fd) => {
      fdatasyncSync(fd);
      return true;
    });
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) closeSync(fd);
  }

  #write(from: Uint8Array, bytes: number, offset: number): boolean {
    return this.#attempt((fd) => {
      for (let done = 0; done < bytes;) done += writeSync(fd, from, done, bytes - done, offset + done);
      return true;
    });
  }

  /** Whatever the file system says, a disk only knows that it did not work. */
  #attempt(action: (fd: number) => boolean): boolean {
    try {
      return action((this.#fd ??= openSync(this.#path, openFlags)));
    } catch {
      return false;
    }
  }
}
