/** The npm package serialport as a client: what Node programs open serial ports with. */
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { errorText } from "../../runtime/api/errors.ts";
import { type ClientKind, Inbox, receiveMs } from "./client.ts";

type SerialPortModule = typeof import("serialport");

const load = (): SerialPortModule => createRequire(import.meta.url)("serialport") as SerialPortModule;

export const serialport: ClientKind = {
  name: "npm serialport",
  reserved: [],
  missing: () => {
    try {
      load();
      return undefined;
    } catch (error) {
      return `the npm package serialport cannot be loaded: ${errorText(error).split("\n", 1)[0]}`;
    }
  },
  async open(tty, baudRate) {
    const inbox = new Inbox();
    const port = new (load().SerialPort)({ path: tty, baudRate, autoOpen: false });
    await promisify(port.open.bind(port))();
    port.on("data", inbox.put);
    let gone: string | undefined;
    port.on("close", (error: Error | null) => { gone = `closed: ${String(error)}`; });
    port.on("error", (error) => { gone = `failed: ${String(error)}`; });
    return {
      send: (bytes) => new Promise((resolve, reject) => {
        port.write(Buffer.from(bytes), (error) => (error ? reject(error) : resolve()));
      }),
      receive: (length, timeoutMs = receiveMs) => inbox.take(length, timeoutMs),
      peek: () => inbox.peek(),
      left: () => gone,
      [Symbol.asyncDispose]: async () => {
        if (port.isOpen) await promisify(port.close.bind(port))();
      },
    };
  },
};
