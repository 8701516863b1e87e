/**
 * TLS of the machine: contexts from PEM bytes, and the names in a client's certificate.
 */
import { isIP } from "node:net";
import {
  connect,
  createSecureContext,
  type ConnectionOptions,
  type PeerCertificate,
  type SecureContext,
  type TlsOptions,
  type TLSSocket,
} from "node:tls";
import { HoldfastError, toError } from "../errors.ts";
import type { Endpoint } from "./sockets.ts";
import type { ClientTls, ServerTls } from "./tls.ts";

/** A peer that opens a connection and says nothing holds it no longer than this. */
const HANDSHAKE_MS_MAX = 10_000;

function clientContext({ ca, cert, key }: ClientTls, owner: string): SecureContext {
  return checked(owner, "ca, cert and key", () =>
    createSecureContext({ ca: pem(ca), cert: pem(cert), key: pem(key) }),
  );
}

/** Begins to connect; `secureConnect` says that the handshake is done. @throws CONFIG_VALUE */
export function connectTls(
  options: Omit<ConnectionOptions, "host" | "port"> & Endpoint,
  tls: ClientTls,
): TLSSocket {
  const { host, port } = options;
  // An address is no name that a server could choose its certificate by.
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
  return connect({
    ...options,
    secureContext: clientContext(tls, `${host}:${port}`),
    ...(servername === undefined ? {} : { servername }),
  });
}

/** Options of a TLS server. `owner` names it in messages. @throws CONFIG_VALUE */
export function serverOptions({ cert, key, clientCa }: ServerTls, owner: string): TlsOptions {
  const asksClients = clientCa !== undefined;
  const options: TlsOptions = {
    cert: pem(cert),
    key: pem(key),
    ca: pem(clientCa),
    requestCert: asksClients,
    rejectUnauthorized: asksClients,
    handshakeTimeout: HANDSHAKE_MS_MAX,
  };
  // The server itself would only say so with its first client.
  checked(owner, "cert, key and clientCa", () => createSecureContext(options));
  return options;
}

/** Names in the certificate that a client showed: its common name and its alternative names, without their kind. */
export function clientNames(socket: TLSSocket): readonly string[] {
  // Without a certificate Node gives an object without members.
  const { subject, subjectaltname }: Partial<PeerCertificate> = socket.getPeerCertificate();
  const common = subject?.CN;
  const others = subjectaltname?.split(", ") ?? [];
  return [
    ...(typeof common === "string" ? [common] : []),
    ...others.map((each) => each.slice(each.indexOf(":") + 1)),
  ];
}

function pem(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes);
}

function checked(owner: string, files: string, make: () => SecureContext): SecureContext {
  try {
    return make();
  } catch (cause) {
    throw new HoldfastError("CONFIG_VALUE", `${owner}: ${toError(cause).message}`, {
      cause,
      fix: `${files} are PEM files, and the key belongs to the certificate`,
    });
  }
}
