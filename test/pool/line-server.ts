/**
 * A small protocol on real sockets, for pools: a line is answered by a line that begins with the server's name. The line
 * "hang" is not answered.
 */
import { once } from "node:events";
import * as net from "node:net";
import * as tls from "node:tls";
import type { Connector } from "../../src/contract/pool.ts";
import type { Endpoint, Sockets } from "../../src/host/sockets.ts";

/** A server that answers lines, with TLS when it has a certificate. */
export class LineServer implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(server: net.Server, name: string) {
    this.#server = server;
    server.on(server instanceof tls.Server ? "secureConnection" : "connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      eachLine(socket, (line) => {
        if (line !== "hang") socket.write(`${name} ${line}\n`);
      });
    });
    server.on("tlsClientError", () => undefined);
  }

  /** Resolves when it listens, on a free port of loopback. */
  static async start(name: string, certificate?: tls.TlsOptions): Promise<LineServer> {
    const server = certificate === undefined ? net.createServer() : tls.createServer(certificate);
    const lines = new LineServer(server, name);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return lines;
  }

  get endpoint(): Endpoint {
    const bound = this.#server.address();
    return { host: "127.0.0.1", port: typeof bound === "object" ? (bound?.port ?? 0) : 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

function eachLine(socket: net.Socket, listener: (line: string) => void): void {
  let rest = "";
  socket.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) listener(line);
  });
}

/** What a client needs of its stream: a connection of the host, or a TLS socket in its clothes. */
export interface LineStream {
  readonly onData: (listener: (chunk: Uint8Array) => void) => void;
  readonly onEnd: (listener: () => void) => void;
  readonly onClose: (listener: (cause?: Error) => void) => void;
  readonly write: (text: string) => void;
  readonly destroy: () => void;
}

interface Question {
  readonly resolve: (answer: string) => void;
  readonly reject: (cause: Error) => void;
}

/** Asks, one line after the other. */
export class LineClient {
  readonly #stream: LineStream;
  readonly #questions: Question[] = [];
  #rest = "";
  #broken: Error | undefined;

  /** @param broke - hears once why the stream is of no use any more */
  constructor(stream: LineStream, broke: (cause: Error) => void) {
    this.#stream = stream;
    const over = (cause: Error): void => {
      if (this.#broken !== undefined) return;
      this.#broken = cause;
      for (const { reject } of this.#questions.splice(0)) reject(cause);
      broke(cause);
    };
    stream.onData((chunk) => this.#received(Buffer.from(chunk).toString()));
    stream.onEnd(() => over(new Error("the server ended the connection")));
    stream.onClose((cause = new Error("the connection is closed")) => over(cause));
  }

  /** Rejects when the connection breaks first. */
  ask(line: string): Promise<string> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#questions.push({ resolve, reject });
      this.#stream.write(`${line}\n`);
    });
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #received(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#questions.shift()?.resolve(line);
  }
}

/** How one stream is opened. */
export type OpenStream = (endpoint: Endpoint, signal: AbortSignal) => Promise<LineStream>;

/** Connects by the host's sockets. */
export function plainStreams(sockets: Sockets): OpenStream {
  return (endpoint, signal) => sockets.connect(endpoint, signal);
}

/** Connects by TLS and believes these authorities, which are asked for anew each time. */
export function tlsStreams(authorities: () => readonly Buffer[]): OpenStream {
  return async (endpoint, signal) => {
    const socket = tls.connect({ ...endpoint, ca: [...authorities()] });
    const closed = new Promise<Error | undefined>((resolve) => {
      let cause: Error | undefined;
      socket.on("error", (error) => (cause = error));
      socket.on("close", () => resolve(cause));
    });
    const stop = (): void => void socket.destroy();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await once(socket, "secureConnect");
    } finally {
      signal.removeEventListener("abort", stop);
    }
    return {
      onData: (listener) => void socket.on("data", listener),
      onEnd: (listener) => void socket.once("end", listener),
      onClose: (listener) => void closed.then(listener),
      write: (text) => void socket.write(text),
      destroy: () => void socket.destroy(),
    };
  };
}

/** Options of {@link lineConnector}. */
export interface LineConnectorOptions {
  readonly open: OpenStream;
  /** A greeting belongs to the connect, as a login does. */
  readonly greets: boolean;
}

/** Connections for a pool, to addresses of the form host:port. */
export function lineConnector({ open, greets }: LineConnectorOptions): Connector<LineClient> {
  return {
    async connect(address, signal, broke) {
      const client = new LineClient(await open(endpointOf(address), signal), broke);
      const stop = (): void => client.destroy();
      signal.addEventListener("abort", stop, { once: true });
      try {
        if (greets) await client.ask("hello");
      } catch (cause) {
        client.destroy();
        throw cause;
      } finally {
        signal.removeEventListener("abort", stop);
      }
      return client;
    },
    async check(client) {
      await client.ask("ping");
    },
    destroy: (client) => client.destroy(),
    isPermanent: (error) => /CERT|certificate/i.test(String(Reflect.get(error, "code"))),
  };
}

/** As a pool knows it. */
export function addressOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

function endpointOf(address: string): Endpoint {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
