/**
 * A TCP proxy that goes wrong when it is told to, between a client under test and a real server, on loopback.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { type Clock, realClock } from "../host/clock.ts";
import type { Endpoint } from "../host/sockets.ts";
import { type ConnectionFault, ProxyConnection } from "./fault-proxy-connection.ts";
import { HeldPort } from "./fault-proxy-port.ts";
import { type ProxyEvent, type ProxyEventMatch, ProxyRecord } from "./fault-proxy-record.ts";

/** What new connections meet: `refuse` closes the listener (ECONNREFUSED), all else happens after accepting. */
export type ProxyFault = ConnectionFault | { readonly kind: "refuse" };

/** Options of {@link FaultProxy.start}. */
export interface FaultProxyOptions {
  /** The real server. */
  readonly target: Endpoint;
  /** What paces slow connections and stamps events. @defaultValue the machine's clock */
  readonly clock?: Clock;
}

/**
 * A proxy on a free port of 127.0.0.1, which is its own until `close`. It acts on system calls only: it says nothing
 * about lost packets below TCP, which acknowledges what a black hole swallows.
 */
export class FaultProxy implements AsyncDisposable {
  /** Where clients connect. */
  readonly endpoint: Endpoint;
  readonly #held: HeldPort;
  readonly #clock: Clock;
  readonly #record: ProxyRecord;
  readonly #connections = new Map<number, ProxyConnection>();
  #target: Endpoint;
  #faultOf: (connection: number) => ConnectionFault = () => ({ kind: "none" });
  #server: Server | undefined;
  #acceptedCount = 0;

  private constructor({ target, clock = realClock }: FaultProxyOptions, held: HeldPort) {
    this.#held = held;
    this.#clock = clock;
    this.#record = new ProxyRecord(clock);
    this.#target = target;
    this.endpoint = Object.freeze({ host: "127.0.0.1", port: held.port });
  }

  /** Resolves when it listens. */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options, await HeldPort.take());
    await proxy.#listen();
    return proxy;
  }

  /** Connections so far. Those that were refused never came. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** Numbers of the connections whose client is still there, from 1 in order of arrival. */
  get open(): readonly number[] {
    return [...this.#connections].flatMap(([number, { isClientThere }]) =>
      isClientThere ? [number] : [],
    );
  }

  /** What happened, oldest first; the newest 1000. */
  get events(): readonly ProxyEvent[] {
    return this.#record.events;
  }

  /**
   * What connections to come shall meet, also by their number. Resolves when it holds. Those that are open
   * stay as they are.
   */
  async set(fault: ProxyFault | ((connection: number) => ConnectionFault)): Promise<void> {
    if (typeof fault === "function") this.#faultOf = fault;
    else if (fault.kind === "refuse") return this.#refuse();
    else this.#faultOf = () => fault;
    await this.#listen();
  }

  /** Lets open connections suffer: one by its number, or all. Throws when that one is not there. */
  strike(fault: ConnectionFault, connection?: number): void {
    const numbers = connection === undefined ? [...this.#connections.keys()] : [connection];
    for (const number of numbers) {
      const struck = this.#connections.get(number);
      if (struck === undefined) throw new Error(`no connection ${number}:\n${this.explain()}`);
      struck.strike(fault);
    }
  }

  /** Leads connections to come to another server: one with another certificate, or a successor. */
  point(target: Endpoint): void {
    this.#target = target;
    this.#record.add({ what: "pointed", connection: 0 });
  }

  /**
   * Resolves with the first event that has these values, also a past one. Rejects with the signal's reason, or with
   * the whole story when the proxy is closed first.
   */
  saw(match: ProxyEventMatch, signal?: AbortSignal): Promise<ProxyEvent> {
    return this.#record.saw(match, signal);
  }

  /** What happened, a line for each event: for the message of a failing test. */
  explain(): string {
    const { host, port } = this.#target;
    return `fault proxy on port ${this.endpoint.port}, for ${host}:${port}\n${this.#record.explain()}`;
  }

  /** Ends everything at once. May be called twice. */
  async close(): Promise<void> {
    this.#record.close();
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections.values()) connection.destroy();
    this.#connections.clear();
    this.#held.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
    server.listen(this.endpoint.port, this.endpoint.host);
    await once(server, "listening");
    this.#record.add({ what: "listening", connection: 0 });
  }

  #refuse(): void {
    // The socket is closed in this call; the server's own end would wait for its connections, which stay.
    this.#server?.close();
    this.#server = undefined;
    this.#record.add({ what: "refusing", connection: 0 });
  }

  #accept(socket: Socket): void {
    this.#acceptedCount += 1;
    const number = this.#acceptedCount;
    const connection = new ProxyConnection(socket, {
      number,
      clock: this.#clock,
      tell: (event) => this.#record.add(event),
      gone: () => this.#connections.delete(number),
    });
    this.#connections.set(number, connection);
    connection.open(this.#target, this.#faultOf(number));
  }
}
