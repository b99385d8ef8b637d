/** Takes the control socket's path for one daemon: private from its first moment, a dead daemon's replaced, a live one's left. */
import { chmodSync, linkSync, lstatSync, renameSync, rmSync } from "node:fs";
import type net from "node:net";
import path from "node:path";
import { AirlockError, errorText } from "../../api/errors.ts";
import { ControlClient } from "./client.ts";
import { checkSocketPath } from "./protocol.ts";

/** A daemon that is alive tells its pid within this time; one that does not is alive nevertheless. */
const helloMs = 2_000;
/** Two daemons that find the same stale socket at the same moment need a second look. */
const attempts = 3;

export interface ClaimedSocket {
  /** Removes the socket if it is still ours; idempotent. */
  remove(): void;
}

/**
 * Makes `server` listen at `socket`. It listens at a name of its own first and is then linked to `socket`, which fails
 * when that exists: of two daemons one gets it.
 * @throws AirlockError AddressInUse naming the pid, StateUnusable, InvalidArgument when the path is too long
 */
export async function claimSocket(server: net.Server, socket: string): Promise<ClaimedSocket> {
  const directory = path.dirname(socket);
  const own = path.join(directory, `s${process.pid}`);
  checkSocketPath(socket);
  checkSocketPath(own);
  makePrivate(directory);
  rmSync(own, { force: true });
  await listen(server, own);
  try {
    await link(own, socket);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
  const { ino, dev } = lstatSync(socket);
  return {
    remove: () => {
      const there = lstatSync(socket, { throwIfNoEntry: false });
      if (there?.ino === ino && there.dev === dev) rmSync(socket, { force: true });
    },
  };
}

async function link(own: string, socket: string): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      linkSync(own, socket);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw unusable(socket, error);
    }
    if (!lstatSync(socket, { throwIfNoEntry: false })?.isSocket()) {
      throw new AirlockError("AddressInUse", `${socket} is a file that is no socket; remove it, or choose another directory with --state`, { path: socket });
    }
    await mustBeStale(socket);
    // Moved away before it is looked at again: meanwhile another daemon may have taken the path.
    const aside = `${own}.stale`;
    renameSync(socket, aside);
    try {
      await mustBeStale(aside);
      rmSync(aside, { force: true });
    } catch (error) {
      renameSync(aside, socket);
      throw error;
    }
  }
  throw new AirlockError("AddressInUse", `${socket} is being taken by other daemons; choose another directory with --state`, { path: socket });
}

/** @throws AirlockError AddressInUse when somebody listens there */
async function mustBeStale(socket: string): Promise<void> {
  let client: ControlClient;
  try {
    client = await ControlClient.connect(socket, helloMs);
  } catch (error) {
    const code = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;
    if (code === "ECONNREFUSED" || code === "ENOENT") return;
    throw inUse(socket, undefined, error);
  }
  const hello = await client.request({ do: "hello" }, { limitMs: helloMs }).catch(() => undefined);
  client.close();
  const pid = (hello as { pid?: unknown } | undefined)?.pid;
  throw inUse(socket, typeof pid === "number" ? pid : undefined);
}

function inUse(socket: string, pid: number | undefined, cause?: unknown): AirlockError {
  const who = pid === undefined ? "another process" : `process ${pid}`;
  const what = `${who} runs a machine with the state directory ${path.dirname(path.dirname(socket))} already`;
  return new AirlockError("AddressInUse", `${what}; stop it, or choose another directory with --state`, { path: socket, pid }, { cause });
}

/** The directory is this user's alone, so that nobody else can reach, replace or remove what is in it. */
function makePrivate(directory: string): void {
  try {
    const stat = lstatSync(directory);
    if (!stat.isDirectory()) throw new AirlockError("StateUnusable", `${directory} is no directory; remove it, or choose another with --state`, { directory });
    if (process.getuid !== undefined && stat.uid !== process.getuid()) {
      throw new AirlockError("StateUnusable", `${directory} belongs to another user; choose another directory with --state`, { directory });
    }
    chmodSync(directory, 0o700);
  } catch (error) {
    if (error instanceof AirlockError) throw error;
    throw unusable(directory, error);
  }
}

async function listen(server: net.Server, own: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => reject(unusable(own, error));
    server.once("error", failed);
    // The file is made within this call.
    const before = process.umask(0o177);
    try {
      server.listen(own, () => {
        server.off("error", failed);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function unusable(where: string, cause: unknown): AirlockError {
  return new AirlockError("StateUnusable", `cannot make the control socket at ${where}: ${errorText(cause)}; free space there or choose another directory with --state`, { path: where }, { cause });
}
