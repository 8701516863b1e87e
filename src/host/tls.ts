/**
 * TLS material, PEM, for both sides of a connection. Reading the files is in `src/tls-options.ts`.
 */

/** What a client shows and believes in a TLS handshake. */
export interface ClientTls {
  /** Name that the server's certificate must have. @defaultValue the host */
  readonly servername?: string;
  /** Authorities that may have signed it; absent: those that Node brings. */
  readonly ca?: Uint8Array;
  /** Certificate of the client with its chain, and its key: both or neither. */
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
}

/** What a server shows in a TLS handshake, and what it asks of clients. */
export interface ServerTls {
  /** Certificate of the server with its chain, and its key. */
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /** Authorities of client certificates: with them, a client without such a certificate is refused. */
  readonly clientCa?: Uint8Array;
}
