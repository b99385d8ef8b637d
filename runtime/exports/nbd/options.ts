/** Options of the NBD export in the machine file. */
import { z } from "zod";
import { maxTextBytes } from "./protocol.ts";

/** A path of the file system, relative to the machine file. */
const file = z.string().min(1).max(4_096);

const text = z.string().refine((value) => Buffer.byteLength(value) <= maxTextBytes, { message: `at most ${maxTextBytes} bytes of UTF-8` });

const tls = z.strictObject({
  /** Certificate chain and private key of the server, PEM. */
  cert: file,
  key: file,
  /** Certificates that sign clients' certificates, PEM. */
  ca: file.optional(),
  /** Whether clients need a certificate signed by `ca`; default: when there is a `ca`. */
  verifyClient: z.boolean().optional(),
}).refine(({ ca, verifyClient }) => verifyClient !== true || ca !== undefined, {
  message: '"verifyClient" needs "ca": whose signatures count', path: ["ca"],
});

export const options = z.strictObject({
  /** Path of the Unix socket; relative to the machine file; default `<name>.sock` in the state directory. */
  path: file.optional(),
  /** TCP port instead of a Unix socket; 0 lets the system choose one. */
  port: z.number().int().min(0).max(65_535).optional(),
  /** Address to listen on with `port`. Without it only programs on this machine can connect. */
  host: z.string().min(1).max(253).optional(),
  /** Name of the export for clients, which may also ask for "", the default export. Default: its name in the machine file. */
  export: text.min(1).optional(),
  /** What the export is, for `nbdinfo --list`. */
  description: text.optional(),
  /** Refuses writes, whatever the device allows. */
  readOnly: z.boolean().default(false),
  /** With this, clients have to use TLS. */
  tls: tls.optional(),
  /** Clients at once; more are disconnected at once. nbdcopy and QEMU open several each. */
  maxConnections: z.number().int().min(1).max(1_024).default(32),
})
  .refine(({ path, port }) => path === undefined || port === undefined, { message: '"path" and "port" exclude each other', path: ["port"] })
  .refine(({ host, port }) => host === undefined || port !== undefined, { message: '"host" needs "port"', path: ["host"] });

export type NbdOptions = z.infer<typeof options>;
export type TlsOptions = z.infer<typeof tls>;
