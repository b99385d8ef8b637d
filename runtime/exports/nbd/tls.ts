/** TLS for NBD connections: certificates read once, then the server's side of the handshake for each client that asks. */
import { readFile } from "node:fs/promises";
import type { Duplex } from "node:stream";
import path from "node:path";
import tls from "node:tls";
import { AirlockError, errorText } from "../../api/errors.ts";
import type { TlsOptions } from "./options.ts";

export class TlsServer {
  readonly #settings: tls.TlsOptions;

  private constructor(settings: tls.TlsOptions) {
    this.#settings = settings;
  }

  /** Reads and checks the files; relative paths are below `directory`. @throws AirlockError InvalidArgument */
  static async load(options: TlsOptions, directory: string): Promise<TlsServer> {
    const { cert, key, ca, verifyClient = ca !== undefined } = options;
    const settings: tls.TlsOptions = {
      cert: await pem(directory, "cert", cert),
      key: await pem(directory, "key", key),
      ...(ca === undefined ? {} : { ca: await pem(directory, "ca", ca) }),
      requestCert: verifyClient,
      rejectUnauthorized: verifyClient,
    };
    try {
      tls.createSecureContext(settings);
    } catch (cause) {
      throw new AirlockError("InvalidArgument", `"tls": certificate and key cannot be used: ${errorText(cause)}`, {}, { cause });
    }
    return new TlsServer(settings);
  }

  /**
   * The encrypted stream over a connection, once the client's certificate is accepted. Its deadline is the caller's: it
   * rejects when `socket` is destroyed. @throws what the handshake failed of
   */
  upgrade(socket: Duplex): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      // One server for each: only its own client can be the one it tells of.
      const server = tls.createServer(this.#settings, resolve);
      server.on("tlsClientError", reject);
      socket.once("close", () => reject(new Error("the client left within the TLS handshake")));
      server.emit("connection", socket);
    });
  }
}

async function pem(directory: string, option: string, file: string): Promise<Buffer> {
  const name = path.resolve(directory, file);
  try {
    return await readFile(name);
  } catch (cause) {
    throw new AirlockError("InvalidArgument", `"tls": "${option}" ${name} cannot be read: ${errorText(cause)}`, { path: name }, { cause });
  }
}
