/**
 * Servers of an HTTP sink, and connections to them.
 */
import type { Connector } from "../contract/pool.ts";
import { codeOf, HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import type { ClientTls, HttpClient, HttpConnection } from "../host/http-client.ts";

/** Where TLS files lie, and whom to expect. */
export interface HttpTlsOptions {
  /** PEM file of the authorities that may have signed the server's certificate. @defaultValue those that Node brings */
  readonly ca?: string;
  /** PEM file of our own certificate with its chain, for servers that want one. @defaultValue none */
  readonly cert?: string;
  /** PEM file of its key. @defaultValue none */
  readonly key?: string;
  /** Name that the server's certificate must have. @defaultValue the host of the url */
  readonly servername?: string;
}

/** A server. */
export interface HttpTarget {
  /** `http://host:port`: what errors and logs call it. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** Path with the query; never shown, a query may hold a key. */
  readonly path: string;
  /** The url without its query. */
  readonly shown: string;
  /** The header `host`. */
  readonly authority: string;
}

/** Longest TLS file: certificates are some KiB, a machine's list of all authorities some 100. */
const PEM_BYTES_MAX: number = 1024 * 1024;

/** Reads a url. @throws CONFIG_VALUE, never with the text: it may hold a secret */
export function parseTarget(sink: string, text: string): HttpTarget {
  if (!URL.canParse(text)) throw refusal(sink, "is none", "url: http://host:port/path");
  const { protocol, username, password, host, port, hostname, pathname, search, origin } = new URL(
    text,
  );
  const isSecure = protocol === "https:";
  if (!isSecure && protocol !== "http:")
    throw refusal(sink, `begins with ${protocol}, allowed are http: and https:`, "");
  if (username !== "" || password !== "")
    throw refusal(sink, `of ${host} holds a user or a password`, "use token or headers");
  return Object.freeze({
    address: origin,
    // IPv6 addresses have brackets in a url only.
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? (isSecure ? 443 : 80) : Number(port),
    isSecure,
    path: pathname + search,
    shown: origin + pathname,
    authority: host,
  });
}

function refusal(sink: string, message: string, fix: string): HoldfastError {
  return new HoldfastError("CONFIG_VALUE", `${sink}: http url ${message}`, { fix });
}

/** A connection and the server at its other end. */
export interface HttpLine {
  readonly connection: HttpConnection;
  readonly target: HttpTarget;
}

/** What connecting takes. */
export interface LineParts {
  readonly sink: string;
  readonly client: HttpClient;
  readonly files: Files;
  readonly targets: readonly HttpTarget[];
  readonly tls: HttpTlsOptions;
}

/** Connections for the pool. HTTP has no request that asks nothing, so they are not checked. */
export function httpConnector(parts: LineParts): Connector<HttpLine> {
  const { sink, client, files, targets, tls } = parts;
  return {
    async connect(address, signal, broke) {
      const target = targets.find((each) => each.address === address);
      if (target === undefined)
        throw new HoldfastError("INTERNAL", `${sink}: no server ${address}`);
      const { host, port, isSecure } = target;
      // Read anew each time: certificates are replaced while the sink runs.
      const shown = isSecure ? { tls: await readTls(sink, files, tls) } : {};
      const connection = await client.connect({ host, port, ...shown }, signal, broke);
      return { connection, target };
    },
    destroy: ({ connection }) => connection.destroy(),
  };
}

/** The files as they are now. @throws CONFIG_VALUE */
export async function readTls(
  sink: string,
  files: Files,
  { ca, cert, key, servername }: HttpTlsOptions,
): Promise<ClientTls> {
  const read = async (name: string, path: string | undefined): Promise<object> =>
    path === undefined ? {} : { [name]: await readPem(sink, files, { name, path }) };
  return {
    ...(servername === undefined ? {} : { servername }),
    ...(await read("ca", ca)),
    ...(await read("cert", cert)),
    ...(await read("key", key)),
  };
}

async function readPem(
  sink: string,
  files: Files,
  { name, path }: { readonly name: string; readonly path: string },
): Promise<Uint8Array> {
  const unread = (why: string, cause?: unknown): HoldfastError =>
    new HoldfastError("CONFIG_VALUE", `${sink}: tls.${name}: ${path} ${why}`, { cause });
  const bytes = await files.readFile(path).catch((cause: unknown) => {
    throw unread(`cannot be read: ${codeOf(cause)}`, cause);
  });
  if (bytes.length <= PEM_BYTES_MAX) return bytes;
  throw unread(`has ${bytes.length} bytes, limit ${PEM_BYTES_MAX}`);
}
