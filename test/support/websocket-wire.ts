/**
 * A websocket listener without a network, and clients that send any bytes they like.
 */
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { websocket, type WebSocketInput } from "../../receivers/websocket/index.ts";
import type { HttpListener, HttpServers, HttpUpgrade } from "../../src/host/http.ts";
import { ReceiverHarness } from "./receiver-harness.ts";

const ADDRESS = { host: "127.0.0.1", port: 1 };

/** HTTP whose only requests are the upgrades that a test makes up. */
export class MemoryHttp implements HttpServers {
  #upgrade: ((upgrade: HttpUpgrade) => void) | undefined;

  listen(options: Parameters<HttpServers["listen"]>[0]): Promise<HttpListener> {
    this.#upgrade = options.upgrade;
    const listener = { address: ADDRESS, connectionCount: 0, close: async () => undefined };
    return Promise.resolve(listener);
  }

  upgrade(path: string, headers: Readonly<Record<string, string>>): Duplex {
    const [near, far] = duplexPair();
    // What is a reset on a network.
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
    const request = new IncomingMessage(new Socket());
    request.method = "GET";
    request.url = path;
    Object.assign(request.headers, headers);
    const url = new URL(path, "ws://here");
    this.#upgrade?.({
      request,
      path: url.pathname,
      query: url.searchParams,
      stream: { stream: near, peer: "10.0.0.9:50000", peerNames: [] },
      head: Buffer.alloc(0),
    });
    return far;
  }
}

/** What a good client asks with. */
export const HANDSHAKE: Readonly<Record<string, string>> = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": Buffer.alloc(16).toString("base64"),
};

/** A frame of a server as a test reads it. */
export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** The far side of a connection. */
export class WirePeer {
  readonly #stream: Duplex;
  #bytes: Buffer = Buffer.alloc(0);
  isClosed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("error", () => undefined);
    stream.on("close", () => {
      this.isClosed = true;
    });
    stream.on("end", () => {
      this.isClosed = true;
    });
  }

  /** Reads from now on; a peer that never does lets what is written to it pile up. */
  read(): this {
    this.#stream.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    return this;
  }

  /** The HTTP answer's first line. */
  get status(): string {
    return this.#bytes.toString("latin1").split("\r\n", 1)[0] ?? "";
  }

  /** The frames behind the HTTP answer. */
  get frames(): readonly Frame[] {
    const frames: Frame[] = [];
    const start = this.#bytes.indexOf("\r\n\r\n");
    if (start === -1) return [];
    for (let at = start + 4; at + 2 <= this.#bytes.length; ) {
      // Frames of a server are short here and never masked.
      const length = this.#bytes.readUInt8(at + 1);
      frames.push({
        opcode: this.#bytes.readUInt8(at) & 0x0f,
        payload: this.#bytes.subarray(at + 2, at + 2 + length),
      });
      at += 2 + length;
    }
    return frames;
  }

  /** Counts as JSON, in order. */
  get counts(): readonly number[] {
    return this.frames
      .filter(({ opcode }) => opcode === 1)
      .map(({ payload }) => {
        const told: { readonly stored: number } = JSON.parse(payload.toString());
        return told.stored;
      });
  }

  /** The code of the Close that came. */
  get closeCode(): number | undefined {
    const close = this.frames.find(({ opcode }) => opcode === 8);
    return close === undefined
      ? undefined
      : close.payload.length < 2
        ? 1005
        : close.payload.readUInt16BE();
  }

  send(...bytes: readonly Uint8Array[]): void {
    this.#stream.write(Buffer.concat(bytes));
  }

  /** FIN. */
  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

/** A client's frame: final, masked. */
export function frame(opcode: number, payload: Uint8Array | string): Buffer {
  const bytes = Buffer.from(payload);
  const mask = [0x12, 0x34, 0x56, 0x78] as const;
  const head =
    bytes.length < 126
      ? Buffer.of(0x80 | opcode, 0x80 | bytes.length)
      : Buffer.of(0x80 | opcode, 0x80 | 126, bytes.length >> 8, bytes.length & 0xff);
  return Buffer.concat([
    head,
    Buffer.from(mask),
    bytes.map((byte, i) => byte ^ (mask[i % 4] ?? 0)),
  ]);
}

/** The parts that a test moves. */
export interface WireScene {
  readonly engine: ReceiverHarness;
  readonly http: MemoryHttp;
  /** A client whose handshake is done; it reads. */
  readonly dial: () => WirePeer;
}

/** An open receiver; it acknowledges with JSON unless the options say otherwise. */
export async function wireScene(
  options: Partial<WebSocketInput> = {},
  inflightBytesMax: number = Infinity,
): Promise<WireScene> {
  const http = new MemoryHttp();
  const engine = new ReceiverHarness({ http, inflightBytesMax });
  await engine.open(websocket("panel", { port: 0, acknowledge: "count-json", ...options }));
  return { engine, http, dial: () => new WirePeer(http.upgrade("/", HANDSHAKE)).read() };
}
