/** HTTP servers without a network: one listener, asked by calling its handler. */
import type { HttpListener, HttpRequest, HttpResponse, HttpServers } from "../../src/host/http.ts";
import type { Endpoint } from "../../src/host/sockets.ts";

export class MemoryHttp implements HttpServers {
  bound: Endpoint | undefined;
  /** Makes `listen` reject. */
  refuse: Error | undefined;
  onError: ((cause: Error) => void) | undefined;
  readonly closedWith: (AbortSignal | undefined)[] = [];
  #handle: ((request: HttpRequest) => Promise<HttpResponse>) | undefined;

  listen(
    options: Parameters<HttpServers["listen"]>[0],
    handle: (request: HttpRequest) => Promise<HttpResponse>,
    onError: (cause: Error) => void,
  ): Promise<HttpListener> {
    if (this.refuse !== undefined) return Promise.reject(this.refuse);
    this.bound = { host: options.host, port: options.port };
    this.#handle = handle;
    this.onError = onError;
    return Promise.resolve({
      address: this.bound,
      connectionCount: 0,
      close: (signal) => {
        this.closedWith.push(signal);
        return Promise.resolve();
      },
    });
  }

  async ask({
    method,
    path,
    headers,
  }: Pick<HttpRequest, "method" | "path" | "headers">): Promise<HttpResponse> {
    if (this.#handle === undefined) throw new Error("nobody listens");
    const { signal } = new AbortController();
    return await this.#handle({
      method,
      path,
      headers,
      query: new URLSearchParams(),
      body: new Uint8Array(),
      peerNames: [],
      peer: "127.0.0.1:1",
      signal,
    });
  }
}
