/**
 * TLS as an option of receivers and sinks that connect: files are named there, and read at each connect, so that a
 * renewed certificate needs no restart. For those that listen: `access.ts`.
 */
import { codeOf, HoldfastError } from "./errors.ts";
import type { Files } from "./host/files.ts";
import type { ClientTls } from "./host/tls.ts";
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

/** The files of a client as they are now. @throws CONFIG_VALUE */
export async function readClientTls(
  owner: string,
  files: Files,
  { servername, ...paths }: TlsConnectOptions,
): Promise<ClientTls> {
  return {
    ...(servername === undefined ? {} : { servername }),
    ...(await readAll(owner, files, paths)),
  };
}

async function readAll<Name extends string>(
  owner: string,
  files: Files,
  paths: Readonly<Partial<Record<Name, string>>>,
): Promise<Partial<Record<Name, Uint8Array>>> {
  const read: Partial<Record<Name, Uint8Array>> = {};
  for (const name in paths) {
    const path = paths[name];
    if (path !== undefined) read[name] = await readPem(owner, files, { name, path });
  }
  return read;
}

/** A PEM file of a sensible size. @throws CONFIG_VALUE */
export async function readPem(
  owner: string,
  files: Files,
  { name, path }: { readonly name: string; readonly path: string },
): Promise<Uint8Array> {
  const unread = (why: string, cause?: unknown): HoldfastError =>
    new HoldfastError("CONFIG_VALUE", `${owner}: tls.${name}: ${path} ${why}`, { cause });
  const bytes = await files.readFile(path).catch((cause: unknown) => {
    throw unread(`cannot be read: ${codeOf(cause)}`, cause);
  });
  if (bytes.length <= PEM_BYTES_MAX) return bytes;
  throw unread(`has ${bytes.length} bytes, limit ${PEM_BYTES_MAX}`);
}
