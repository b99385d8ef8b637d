/** A plain socket as a client of a Unix socket export: what a program that connects to a path sees. */
import { once } from "node:events";
import net from "node:net";
import { type ClientKind, Inbox, receiveMs } from "./client.ts";

export const socket: ClientKind = {
  name: "plain socket",
  reserved: [],
  missing: () => undefined,
  async open(address) {
    const inbox = new Inbox();
    const connection = net.connect(address);
    let gone: string | undefined;
    connection.on("data", inbox.put);
    connection.on("error", (error) => { gone ??= `failed: ${error.message}`; });
    connection.on("end", () => { gone ??= "the other side ended the connection"; });
    await once(connection, "connect");
    return {
      send: (bytes) => new Promise((resolve, reject) => {
        connection.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
      receive: (length, timeoutMs = receiveMs) => inbox.take(length, timeoutMs),
      peek: () => inbox.peek(),
      left: () => gone,
      [Symbol.asyncDispose]: async () => {
        const closed = connection.closed ? undefined : once(connection, "close");
        connection.destroy();
        await closed;
      },
    };
  },
};
