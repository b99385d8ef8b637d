/** A Unix socket to listen on: its path checked and made free, the file private to its user from its first moment on. */
import { chmod, lstat, unlink } from "node:fs/promises";
import net from "node:net";
import { AirlockError, errorText } from "../api/errors.ts";

/** Longest path of a socket on Linux (unix(7): sun_path has 108 bytes, the last is 0). */
const maxPathBytes = 107;
/** How long a server that may be listening at the path has to take our connection. */
const probeMs = 1_000;

/** Makes the path free: nothing there, or a socket nobody listens on. @throws AirlockError AddressInUse, InvalidArgument, StateUnusable */
export async function clearSocketPath(address: string): Promise<void> {
  const length = Buffer.byteLength(address);
  if (length > maxPathBytes) {
    const what = `${address} has ${length} bytes, more than a socket's path may have (${maxPathBytes})`;
    throw new AirlockError("InvalidArgument", `${what}; choose a shorter "path"`, { path: address });
  }
  const there = await lstat(address).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw unusable(address, error);
  });
  if (there === undefined) return;
  if (!there.isSocket()) throw inUse(address, "is a file that is no socket; remove it");
  if (await someoneListens(address)) throw inUse(address, "is served by another process; stop that");
  await unlink(address).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw unusable(address, error);
  });
}

/**
 * Makes `server` listen at `address`, with mode 0600. Closing the server removes the file.
 * @throws AirlockError AddressInUse, StateUnusable
 */
export async function listenOnUnixSocket(server: net.Server, address: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      reject(error.code === "EADDRINUSE" ? inUse(address, "was taken by another process just now; stop that") : unusable(address, error));
    };
    server.once("error", failed);
    // The file is made within this call: nobody but this user may connect, from the first moment on.
    const before = process.umask(0o177);
    try {
      server.listen(address, () => {
        server.off("error", failed);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
  await chmod(address, 0o600);
}

/** Whether a connection to the socket is taken, or might be: only a clear refusal says that nobody is there. */
function someoneListens(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    const settle = (taken: boolean): void => {
      socket.destroy();
      resolve(taken);
    };
    socket.setTimeout(probeMs, () => settle(true));
    socket.once("connect", () => settle(true));
    socket.once("error", (error: NodeJS.ErrnoException) => settle(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"));
  });
}

function inUse(address: string, what: string): AirlockError {
  return new AirlockError("AddressInUse", `${address} ${what}, or choose another "path"`, { path: address });
}

function unusable(address: string, cause: Error): AirlockError {
  const what = `cannot make the socket ${address}: ${errorText(cause)}; choose another "path"`;
  return new AirlockError("StateUnusable", what, { path: address }, { cause });
}
