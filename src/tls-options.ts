/**
 * TLS as an option of receivers and sinks that connect: files are named there, and read at each connect, so that a
 * renewed certificate needs no restart. For those that listen: `access.ts`.
 */
import { codeOf, HoldfastError } from "./errors.ts";
import type { Files } from "./host/files.ts";
import type { ClientTls } from "./host/tls.ts";
import { certificatesOf, checkPair, type PemFile } from "./pem.ts";
import { type ObjectSchema, schema } from "./schema.ts";

/** How to connect with TLS: where its files lie, and whom to expect. */
export interface TlsConnectOptions {
  /** PEM file of the authorities that may have signed the server's certificate. @defaultValue those that Node brings */
  readonly ca?: string;
  /** PEM file of our own certificate with its chain, for servers that want one. @defaultValue none */
  readonly cert?: string;
  /** PEM file of its key. @defaultValue none */
  readonly key?: string;
  /** Name that the server's certificate must have. @defaultValue the host */
  readonly servername?: string;
}

/** See {@link TlsConnectOptions}. */
export const tlsConnectOptions: ObjectSchema<TlsConnectOptions, TlsConnectOptions> = schema.object({
  ca: schema.optional(schema.string()),
  cert: schema.optional(schema.string()),
  key: schema.optional(schema.string()),
  servername: schema.optional(schema.string()),
});

/** Longest TLS file: certificates are some KiB, a machine's list of all authorities some 100. */
const PEM_BYTES_MAX: number = 1024 * 1024;

/** The combinations that the schema cannot know. `owner` names it in messages. @throws CONFIG_CONFLICT */
export function checkTlsConnect(owner: string, { cert, key }: TlsConnectOptions): void {
  if ((cert === undefined) === (key === undefined)) return;
  throw new HoldfastError(
    "CONFIG_CONFLICT",
    `${owner}: of tls.cert and tls.key 1 is there, they need each other`,
  );
}

/** Looks at the files of what connects with TLS, or without: `checkFiles` of a definition. @throws CONFIG_VALUE */
export async function checkClientFiles({
  name,
  files,
  options: { tls = {} },
}: {
  readonly name: string;
  readonly files: Files;
  readonly options: { readonly tls?: TlsConnectOptions };
}): Promise<void> {
  await readClientTls(name, files, tls);
}

/** The files of a client as they are now. @throws CONFIG_VALUE */
export async function readClientTls(
  owner: string,
  files: Files,
  { servername, ...paths }: TlsConnectOptions,
): Promise<ClientTls> {
  const { ca, cert, key } = await readAll(owner, files, paths);
  if (ca !== undefined) certificatesOf(ca);
  if (cert !== undefined && key !== undefined) checkPair(cert, key);
  return {
    ...(servername === undefined ? {} : { servername }),
    ...(ca === undefined ? {} : { ca: ca.bytes }),
    ...(cert === undefined ? {} : { cert: cert.bytes }),
    ...(key === undefined ? {} : { key: key.bytes }),
  };
}

async function readAll<Name extends string>(
  owner: string,
  files: Files,
  paths: Readonly<Partial<Record<Name, string>>>,
): Promise<Partial<Record<Name, PemFile>>> {
  const read: Partial<Record<Name, PemFile>> = {};
  for (const name in paths) {
    const path = paths[name];
    if (path !== undefined) read[name] = await readPem(owner, files, { name, path });
  }
  return read;
}

/** A PEM file of a sensible size, unread. @throws CONFIG_VALUE */
export async function readPem(
  owner: string,
  files: Files,
  { name, path }: { readonly name: string; readonly path: string },
): Promise<PemFile> {
  const option = `${owner}: tls.${name}`;
  // A certificate that was pasted where its path belongs is not repeated: it may be a key.
  const shown = path.includes("-----BEGIN") ? "(a text)" : path;
  const unread = (why: string, cause?: unknown): HoldfastError =>
    new HoldfastError("CONFIG_VALUE", `${option}: ${shown} ${why}`, {
      cause,
      fix: `tls.${name}: the path of a PEM file; it counts from the directory of the start`,
    });
  const bytes = await files.readFile(path).catch((cause: unknown) => {
    throw unread(`cannot be read: ${codeOf(cause)}`, cause);
  });
  if (bytes.length <= PEM_BYTES_MAX) return { name: option, path, bytes };
  throw unread(`has ${bytes.length} bytes, limit ${PEM_BYTES_MAX}`);
}
