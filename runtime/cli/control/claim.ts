/** Takes the control socket's path for one daemon: private from its first moment, a dead daemon's replaced, a live one's left. */
import { chmodSync, existsSync, linkSync, lstatSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type net from "node:net";
import path from "node:path";
import { AirlockError, errorText } from "../../api/errors.ts";
import { ControlClient } from "./client.ts";
import { checkSocketPath } from "./protocol.ts";

/** A daemon that is alive tells its pid within this time; one that does not is alive nevertheless. */
const helloMs = 2_000;
/** Daemons that find the same stale socket at the same moment take turns; a turn lasts some milliseconds. */
const attempts = 50;
const attemptMs = 20;

/** Makes the names this process listens at first its own. */
let claims = 0;

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
  const own = path.join(directory, `s${process.pid}-${++claims}`);
  checkSocketPath(socket);
  checkSocketPath(own);
  makePrivate(directory);
  rmSync(own, { force: true });
  await listen(server, own);
  const { ino, dev } = lstatSync(own);
  try {
    await link(own, socket);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
  return {
    remove: () => {
      const there = lstatSync(socket, { throwIfNoEntry: false });
      if (there?.ino === ino && there.dev === dev) rmSync(socket, { force: true });
    },
  };
}

async function link(own: string, socket: string): Promise<void> {
  const lock = `${socket}.lock`;
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (tryLink(own, socket)) return;
    const there = lstatSync(socket, { throwIfNoEntry: false });
    if (there !== undefined && !there.isSocket()) {
      throw new AirlockError("AddressInUse", `${socket} is a file that is no socket; remove it, or choose another directory with --state`, { path: socket });
    }
    await mustBeStale(socket);
    if (tryLock(lock)) {
      try {
        // Whoever had the lock before may have taken the path meanwhile.
        await mustBeStale(socket);
        rmSync(socket, { force: true });
        if (tryLink(own, socket)) return;
      } finally {
        rmSync(lock, { force: true });
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, attemptMs); });
  }
  const what = `${socket} is being taken by other daemons; remove ${lock} if there are none, or choose another directory with --state`;
  throw new AirlockError("AddressInUse", what, { path: socket });
}

/** False when there is something at the path. */
function tryLink(own: string, socket: string): boolean {
  try {
    linkSync(own, socket);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw unusable(socket, error);
  }
}

/** Only who holds this file may remove a stale socket; a process that ended with it holds it no more. */
function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}\n`, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw unusable(lock, error);
  }
  if (existsSync(lock) && !holderLives(lock)) rmSync(lock, { force: true });
  return false;
}

function holderLives(lock: string): boolean {
  try {
    process.kill(Number(readFileSync(lock, "utf8")) || process.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
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
  const what = `cannot make the control socket at ${where}: ${errorText(cause)}`;
  return new AirlockError("StateUnusable", `${what}; free space there or choose another directory with --state`, { path: where }, { cause });
}
