/**
 * The sockets that kafkajs connects with. It makes them through this factory, so that none of them outlives the
 * receiver's incarnation, whatever kafkajs still has in mind.
 */
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ISocketFactory } from "kafkajs";
import { HoldfastError } from "../../src/errors.ts";
import type { ClientTls } from "../../src/host/tls.ts";

/** Time without traffic after which the system asks whether the broker is still there. */
const KEEP_ALIVE_MS = 60_000;

/** Sockets of one incarnation. */
export class BrokerSockets {
  readonly #tls: ClientTls | undefined;
  readonly #counted: (openCount: number) => void;
  readonly #open = new Set<Socket>();
  #isClosed = false;

  /** `counted` hears how many are open. */
  constructor(tls: ClientTls | undefined, counted: (openCount: number) => void) {
    this.#tls = tls;
    this.#counted = counted;
  }

  /** For kafkajs. Throws CONNECTION_FAILED once closed. */
  readonly create: ISocketFactory = ({ host, port, onConnect }) => {
    if (this.#isClosed)
      throw new HoldfastError("CONNECTION_FAILED", `${host}:${port}: the receiver has closed`);
    const socket = this.#connect(host, port, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#open.add(socket);
    this.#counted(this.#open.size);
    socket.once("close", () => {
      this.#open.delete(socket);
      this.#counted(this.#open.size);
    });
    return socket;
  };

  /**
   * Ends all of them at once and allows no more; of those that it has not ended itself kafkajs hears an error, and lets go
   * of what waits for an answer. May be called twice.
   */
  close(): void {
    this.#isClosed = true;
    const cause = new HoldfastError("CONNECTION_FAILED", "the receiver has closed");
    for (const socket of this.#open) socket.destroy(socket.writableEnded ? undefined : cause);
  }

  #connect(host: string, port: number, onConnect: () => void): Socket {
    const tls = this.#tls;
    if (tls === undefined) return connectPlain({ host, port }, onConnect);
    const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
    const { ca, cert, key } = tls;
    return connectTls(
      {
        host,
        port,
        ca: pem(ca),
        cert: pem(cert),
        key: pem(key),
        ...(servername === undefined ? {} : { servername }),
      },
      onConnect,
    );
  }
}

function pem(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes);
}
