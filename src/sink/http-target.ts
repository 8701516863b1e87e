/**
 * Servers of an HTTP sink, and connections to them.
 */
import type { Connector } from "../contract/pool.ts";
import { HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import type { HttpClient, HttpConnection } from "../host/http-client.ts";
import { readClientTls, type TlsConnectOptions } from "../tls-options.ts";

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
  readonly tls: TlsConnectOptions;
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
      const shown = isSecure ? { tls: await readClientTls(sink, files, tls) } : {};
      const connection = await client.connect({ host, port, ...shown }, signal, broke);
      return { connection, target };
    },
    destroy: ({ connection }) => connection.destroy(),
  };
}
