/** Websocket receivers on real sockets, with a log that a test plays. */
import { once } from "node:events";
import { type ClientOptions, type RawData, WebSocket } from "ws";
import { websocket, type WebSocketInput } from "../../receivers/websocket/index.ts";
import { realClock } from "../../src/host/clock.ts";
import { realHttp } from "../../src/host/real-http.ts";
import { ReceiverHarness } from "./receiver-harness.ts";

/** A client, and what it was told. */
export class WebSocketPeer {
  readonly socket: WebSocket;
  readonly received: string[] = [];
  closedWith: { readonly code: number; readonly reason: string } | undefined;
  /** Whether the newest message was binary. */
  wasBinary = false;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (message: RawData, isBinary: boolean) => {
      this.wasBinary = isBinary;
      this.received.push(Buffer.from(message as Buffer).toString("latin1"));
    });
    // What breaks is seen in the close.
    socket.on("error", () => undefined);
    socket.on("close", (code, reason) => {
      this.closedWith = { code, reason: reason.toString() };
    });
  }

  get lastCount(): number {
    const last: { readonly stored?: number } = JSON.parse(this.received.at(-1) ?? "{}");
    return last.stored ?? 0;
  }
}

/** The parts that a test moves. */
export interface WebSocketScene {
  readonly engine: ReceiverHarness;
  readonly url: string;
  /** Connects; resolves when the websocket is open. */
  readonly dial: (options?: ClientOptions, protocols?: string[]) => Promise<WebSocketPeer>;
  /** Ends what is still open. */
  readonly end: () => Promise<void>;
}

/** An open receiver; it acknowledges with JSON unless the options say otherwise. */
export async function webSocketScene(
  options: Partial<WebSocketInput> = {},
  inflightBytesMax: number = Infinity,
): Promise<WebSocketScene> {
  const engine = new ReceiverHarness({ http: realHttp, inflightBytesMax });
  await engine.open(websocket("panel", { port: 0, acknowledge: "count-json", ...options }));
  const url = `ws://127.0.0.1:${engine.port}${options.path ?? "/"}`;
  return {
    engine,
    url,
    async dial(clientOptions = {}, protocols = []) {
      const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...clientOptions });
      const peer = new WebSocketPeer(socket);
      await once(socket, "open");
      return peer;
    },
    end: async () => engine.session.close(AbortSignal.abort()),
  };
}

/** Turns of the loop until it is so; a test's own limit ends one that never is. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await realClock.yield();
}

/** The log commits until it is so. */
export async function committingUntil(engine: ReceiverHarness, isSo: () => boolean): Promise<void> {
  while (!isSo()) await engine.commit();
}
