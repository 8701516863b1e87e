/**
 * A real HTTP server on loopback that writes down what it is asked and answers as a test says.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { join } from "node:path";
import type { Socket } from "node:net";
import type { TlsOptions } from "node:tls";
import { gunzipSync } from "node:zlib";
import { repositoryRoot } from "./repository.ts";

/** A request as it came. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Unpacked. */
  readonly body: string;
  /** Sockets are counted from 1. */
  readonly socket: number;
}

/** What is answered; `raw` is written to the socket instead, `drop` destroys it, `hold` does nothing. */
export type Reply =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly raw: string }
  | "drop"
  | "hold";

/** See the file's head. */
export class HttpPeer implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly #server: Server;
  readonly #sockets = new Map<Socket, number>();
  #socketCount = 0;
  #wake: () => void = () => undefined;
  reply: (asked: Asked) => Reply | Promise<Reply> = () => ({ status: 200 });

  private constructor(server: Server, isSecure: boolean) {
    this.#server = server;
    server.on(isSecure ? "secureConnection" : "connection", (socket: Socket) => {
      this.#sockets.set(socket, ++this.#socketCount);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (message: IncomingMessage, response: ServerResponse) => {
      void this.#serve(message, response);
    });
  }

  /** Resolves when it listens, with TLS if there is a certificate. */
  static async start(tls?: TlsOptions): Promise<HttpPeer> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    const peer = new HttpPeer(server, tls !== undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return peer;
  }

  get port(): number {
    const bound = this.#server.address();
    return typeof bound === "object" ? (bound?.port ?? 0) : 0;
  }

  get endpoint(): { readonly host: string; readonly port: number } {
    return { host: "127.0.0.1", port: this.port };
  }

  get socketCount(): number {
    return this.#socketCount;
  }

  /** Resolves when this many requests have come whole. */
  async gets(count: number): Promise<void> {
    while (this.asked.length < count)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  /** Ends all connections, as a crash would. */
  dropAll(): void {
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.dropAll();
    await once(this.#server, "close");
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers, socket } = message;
    const number = this.#sockets.get(socket) ?? 0;
    const chunks: Buffer[] = [];
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("error", () => undefined);
    await once(message, "end");
    const bytes = Buffer.concat(chunks);
    const body = (headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes).toString();
    const asked: Asked = { method, path: url, headers, body, socket: number };
    this.asked.push(asked);
    this.#wake();
    const reply = await this.reply(asked);
    if (reply === "hold") return;
    if (reply === "drop") return void socket.destroy();
    if ("raw" in reply) return void socket.write(reply.raw);
    response.writeHead(reply.status, reply.headers).end(reply.body ?? "");
  }
}

/** Certificate and key of a server on 127.0.0.1 that is its own authority. */
export function certificate(name: "first" | "second"): {
  readonly cert: Buffer;
  readonly key: Buffer;
} {
  const { cert, key } = certificatePaths(name);
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

/** Where they are. */
export function certificatePaths(name: "first" | "second"): {
  readonly cert: string;
  readonly key: string;
} {
  const path = (kind: string): string =>
    join(repositoryRoot(), "test", "fixtures", "tls", `${name}.${kind}.pem`);
  return { cert: path("cert"), key: path("key") };
}
