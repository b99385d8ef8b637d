/** Where the export listens: a private Unix socket, or a TCP port; and the address clients are told. */
import { once } from "node:events";
import type net from "node:net";
import path from "node:path";
import { AirlockError, errorText } from "../../api/errors.ts";
import { clearSocketPath, listenOnUnixSocket } from "../unix-socket.ts";
import type { NbdOptions } from "./options.ts";

/** Only programs on this machine, unless the machine file names an address. */
const defaultHost = "127.0.0.1";

interface Place {
  readonly options: NbdOptions;
  readonly exportName: string;
  /** The default socket, absolute, and where relative paths begin. */
  readonly defaultPath: string;
  readonly directory: string;
}

/** Makes the server listen; gives the URI for clients. @throws AirlockError AddressInUse, InvalidArgument, StateUnusable */
export async function startListening(server: net.Server, { options, exportName, defaultPath, directory }: Place): Promise<string> {
  const scheme = options.tls === undefined ? "nbd" : "nbds";
  const name = encodeURIComponent(exportName);
  if (options.port === undefined) {
    const file = options.path === undefined ? defaultPath : path.resolve(directory, options.path);
    await clearSocketPath(file);
    await listenOnUnixSocket(server, file);
    return `${scheme}+unix:///${name}?socket=${encodePath(file)}`;
  }
  const host = options.host ?? defaultHost;
  await listenOnPort(server, host, options.port);
  const { port } = server.address() as net.AddressInfo;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}/${name}`;
}

async function listenOnPort(server: net.Server, host: string, port: number): Promise<void> {
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = `cannot listen on ${host}, port ${port}: ${errorText(cause)}`;
    if (code === "EADDRINUSE") throw new AirlockError("AddressInUse", `${what}; choose another "port"`, { host, port }, { cause });
    throw new AirlockError("InvalidArgument", `${what}; choose another "host" or "port"`, { host, port }, { cause });
  }
}

/** Slashes stay readable; everything else that means something in a URI is escaped. */
function encodePath(file: string): string {
  return file.split("/").map(encodeURIComponent).join("/");
}
