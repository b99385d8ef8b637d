/** Certificates for TLS tests, made with openssl: an authority, a server, a client, and a client nobody knows. */
import path from "node:path";
import { mkdir, writeFile } from "node:fs/promises";
import { succeed } from "./nbd-run.ts";

export interface Certificates {
  /** Files for the server's options, and folders as `--tls-certificates` wants them. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** A folder with ca-cert.pem, client-cert.pem, client-key.pem. */
  readonly client: string;
  /** The same, with a client's certificate of another authority. */
  readonly stranger: string;
  /** A folder with ca-cert.pem only. */
  readonly anonymous: string;
}

export async function makeCertificates(directory: string): Promise<Certificates> {
  const [client, stranger, anonymous] = ["client", "stranger", "anonymous"].map((name) => path.join(directory, name)) as [string, string, string];
  for (const folder of [client, stranger, anonymous]) await mkdir(folder, { recursive: true });
  const ours = await authority(directory, "ca");
  const theirs = await authority(directory, "other-ca");
  const server = await signed(ours, directory, "server", "DNS:localhost,IP:127.0.0.1");
  for (const [folder, by] of [[client, ours], [stranger, theirs]] as const) {
    await succeed("cp", ours.cert, path.join(folder, "ca-cert.pem"));
    await signed(by, folder, "client", "DNS:client");
  }
  await succeed("cp", ours.cert, path.join(anonymous, "ca-cert.pem"));
  return { ca: ours.cert, ...server, client, stranger, anonymous };
}

/** No passphrase, and made in no time. */
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

interface Pair {
  readonly cert: string;
  readonly key: string;
}

async function authority(directory: string, name: string): Promise<Pair> {
  const pair = { cert: path.join(directory, `${name}.pem`), key: path.join(directory, `${name}.key`) };
  await succeed("openssl", "req", "-x509", ...newKey, "-days", "2", "-subj", `/CN=${name}`,
    "-addext", "keyUsage=critical,keyCertSign,digitalSignature", "-keyout", pair.key, "-out", pair.cert);
  return pair;
}

async function signed(by: Pair, directory: string, name: string, altName: string): Promise<Pair> {
  const pair = { cert: path.join(directory, `${name}-cert.pem`), key: path.join(directory, `${name}-key.pem`) };
  const [request, extensions] = [path.join(directory, `${name}.csr`), path.join(directory, `${name}.ext`)];
  const lines = [`subjectAltName=${altName}`, "basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "extendedKeyUsage=serverAuth,clientAuth", ""];
  await writeFile(extensions, lines.join("\n"));
  await succeed("openssl", "req", ...newKey, "-subj", `/CN=${name}`, "-keyout", pair.key, "-out", request);
  await succeed("openssl", "x509", "-req", "-in", request, "-CA", by.cert, "-CAkey", by.key, "-CAcreateserial", "-days", "2",
    "-extfile", extensions, "-out", pair.cert);
  return pair;
}
