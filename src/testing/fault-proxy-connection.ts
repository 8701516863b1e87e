/**
 * One connection through a fault proxy: two sockets, and what is passed between them.
 */
import { connect, type Socket } from "node:net";
import type { Clock } from "../host/clock.ts";
import type { Endpoint } from "../host/sockets.ts";
import type { ProxyEvent, ProxySide } from "./fault-proxy-record.ts";

/** When a fault strikes: with the first byte after so many from that side. The bytes before it are passed on. */
export interface FaultTrigger {
  readonly bytes: number;
  readonly from: ProxySide;
}

/** What one connection suffers. Without `after` it strikes at once. */
export type ConnectionFault =
  | { readonly kind: "none" }
  /** Both sides get a reset (RST). */
  | { readonly kind: "reset"; readonly after?: FaultTrigger }
  /** The network eats everything, bytes and ends; both sides stay connected. */
  | { readonly kind: "black-hole"; readonly after?: FaultTrigger }
  /** The server is gone without a word: the client stays connected, and what it sends goes nowhere. */
  | { readonly kind: "half-open"; readonly after?: FaultTrigger }
  /** The client is sent away with an orderly end (FIN), as by a server that accepts and then thinks better of it. */
  | { readonly kind: "kick"; readonly after?: FaultTrigger }
  /** Bytes go on late: each chunk by `latencyMs`, and no more than `bytesPerSecond` each way. */
  | { readonly kind: "slow"; readonly latencyMs?: number; readonly bytesPerSecond?: number };

/** A limited rate is kept in pieces of so many milliseconds. */
const PIECE_MS = 100;

/**
 * Turns of the event loop between the last bytes and the fault behind them. A client of the same process has read
 * them by then: libuv reports bytes and a reset that it finds together as bytes and an end.
 */
const TURNS_AFTER_BYTES = 2;

/** What a connection needs of its proxy. */
export interface ProxyConnectionContext {
  readonly number: number;
  readonly clock: Clock;
  readonly tell: (event: ProxyEvent) => void;
  /** Called once, when neither side is there any more. */
  readonly gone: () => void;
}

/** A client and its server. */
export class ProxyConnection {
  readonly #context: ProxyConnectionContext;
  readonly #client: Socket;
  #server: Socket | undefined;
  #fault: ConnectionFault = { kind: "none" };
  /** Bytes that were passed on since the fault was set. */
  #passedBytes: Readonly<Record<ProxySide, number>> = { client: 0, server: 0 };
  /** Nothing is passed on, and neither side hears of the other. */
  #isSilent = false;
  /** Ends the waits of a slow connection when another fault takes over. */
  #pace = new AbortController();

  constructor(client: Socket, context: ProxyConnectionContext) {
    this.#client = client;
    this.#context = context;
    this.#tell({ what: "accepted" });
    this.#listen("client", client);
  }

  get isClientThere(): boolean {
    return !this.#client.destroyed;
  }

  /** Connects the client with its server, unless the fault strikes before that. */
  open(target: Endpoint, fault: ConnectionFault): void {
    this.strike(fault);
    if (this.#isSilent) return;
    this.#server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.#server.once("connect", () => this.#tell({ what: "connected" }));
    this.#listen("server", this.#server);
  }

  /** Sets the fault. A black hole ends with `none` or `slow`; whoever has lost its server has lost it for good. */
  strike(fault: ConnectionFault): void {
    const isEatenByNetwork = this.#fault.kind === "black-hole";
    this.#fault = fault;
    this.#passedBytes = { client: 0, server: 0 };
    if (fault.kind === "none" || fault.kind === "slow") this.#isSilent &&= !isEatenByNetwork;
    else if (fault.after === undefined) this.#strikeNow();
    this.#pace.abort();
    this.#pace = new AbortController();
  }

  /** Ends both sides without ceremony. */
  destroy(): void {
    this.#pace.abort();
    this.#isSilent = true;
    this.#client.destroy();
    this.#server?.destroy();
  }

  #tell(event: Omit<ProxyEvent, "connection">): void {
    this.#context.tell({ ...event, connection: this.#context.number });
  }

  #strikeNow(): void {
    const { kind } = this.#fault;
    this.#tell({ what: "struck", fault: kind });
    this.#isSilent = true;
    switch (kind) {
      case "reset":
        this.#client.resetAndDestroy();
        this.#server?.resetAndDestroy();
        break;
      case "kick":
        // Its remaining bytes are read: a socket that is closed over unread bytes is reset instead of ended.
        this.#client.end();
        this.#server?.destroy();
        break;
      case "half-open":
        this.#server?.destroy();
        break;
      case "black-hole":
      case "none":
      case "slow":
        break;
    }
  }

  #listen(side: ProxySide, socket: Socket): void {
    let code: string | undefined;
    socket.on("error", (cause: NodeJS.ErrnoException) => (code = cause.code ?? cause.message));
    socket.on("data", (chunk: Buffer) => void this.#received(side, chunk));
    socket.on("end", () => {
      this.#tell({ what: "ended", from: side });
      if (!this.#isSilent) this.#other(side)?.end();
    });
    socket.on("close", () => {
      this.#tell({ what: "closed", from: side, ...(code === undefined ? {} : { code }) });
      if (!this.#isSilent) this.#closeOther(side, code);
      if (this.#client.destroyed && this.#server?.destroyed !== false) this.#context.gone();
    });
  }

  /** A side that broke takes the other one with it by a reset; one that ended has passed its end on already. */
  #closeOther(side: ProxySide, code: string | undefined): void {
    if (code === undefined) this.#other(side)?.destroySoon();
    else this.#other(side)?.resetAndDestroy();
  }

  #other(side: ProxySide): Socket | undefined {
    return side === "client" ? this.#server : this.#client;
  }

  /** Passes a chunk on, piece by piece; the side is not read meanwhile, so that order and pressure are kept. */
  async #received(side: ProxySide, chunk: Buffer): Promise<void> {
    const source = side === "client" ? this.#client : this.#server;
    source?.pause();
    let rest = chunk;
    await this.#wait(this.#latencyMs());
    while (rest.length > 0) {
      const piece = rest.subarray(0, this.#pieceBytes());
      await this.#wait(this.#durationMs(piece.length));
      const admitted = piece.subarray(0, this.#admits(side));
      await this.#pass(side, admitted);
      if (admitted.length < piece.length) {
        await this.#swallow(side, rest.length - admitted.length);
        break;
      }
      rest = rest.subarray(piece.length);
    }
    source?.resume();
  }

  async #pass(side: ProxySide, bytes: Buffer): Promise<void> {
    const target = this.#other(side);
    if (bytes.length === 0 || target === undefined) return;
    this.#passedBytes = {
      ...this.#passedBytes,
      [side]: this.#passedBytes[side] + bytes.length,
    };
    this.#tell({ what: "passed", from: side, bytes: bytes.length });
    // Until the system has them: a reset that follows must not overtake them.
    await new Promise<void>((resolve) => target.write(bytes, () => resolve()));
  }

  async #swallow(side: ProxySide, bytes: number): Promise<void> {
    const fault = this.#fault;
    if (!this.#isSilent && "after" in fault) {
      this.#isSilent = true;
      for (let turn = 0; turn < TURNS_AFTER_BYTES; turn += 1) await this.#context.clock.yield();
      if (this.#fault === fault) this.#strikeNow();
    }
    this.#tell({ what: "swallowed", from: side, bytes });
  }

  /** How many more bytes of a side may pass. */
  #admits(side: ProxySide): number {
    if (this.#isSilent || this.#other(side)?.writable !== true) return 0;
    const after = "after" in this.#fault ? this.#fault.after : undefined;
    return after?.from === side ? after.bytes - this.#passedBytes[side] : Infinity;
  }

  #pieceBytes(): number {
    const rate = this.#bytesPerSecond();
    return rate === Infinity ? Infinity : Math.max(1, Math.floor((rate * PIECE_MS) / 1000));
  }

  #durationMs(bytes: number): number {
    return (bytes * 1000) / this.#bytesPerSecond();
  }

  #bytesPerSecond(): number {
    return this.#fault.kind === "slow" ? (this.#fault.bytesPerSecond ?? Infinity) : Infinity;
  }

  #latencyMs(): number {
    return this.#fault.kind === "slow" ? (this.#fault.latencyMs ?? 0) : 0;
  }

  async #wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    try {
      await this.#context.clock.sleep(ms, this.#pace.signal);
    } catch {
      // Another fault took over: its pace is the one that counts from here.
    }
  }
}
