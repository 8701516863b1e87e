/**
 * MQTT over websockets: a listener of its own, because HTTP has to be read by what knows it.
 */
import { createWebSocketStream, type WebSocket, WebSocketServer } from "ws";
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { HoldfastError } from "../../src/errors.ts";
import type { HttpUpgrade } from "../../src/host/http.ts";
import type { Listener, PeerStream } from "../../src/host/sockets.ts";
import type { UnfinishedBytes, UnfinishedHolder } from "../../src/record/unfinished-bytes.ts";
import { countUnfinished } from "../../src/record/unfinished-frames.ts";
import type { Access } from "../../src/access.ts";
import type { MqttListenerOptions, WebSocketTransport } from "./options.ts";

/** Connections that have not asked for a websocket yet, beside those that have one. */
const HANDSHAKES_MAX = 256;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const HEADER_BYTES_MAX: number = 16 * 1024;
/** Longest frame, of small packets that a client writes together; it is kept until it is whole, before its CONNECT too. */
const FRAME_BYTES: number = 2 ** 20;
/** Beside the payload of a long message: what comes before and behind it in one frame. */
const FRAME_EXTRA_BYTES: number = 64 * 1024;
/** Names of MQTT as a subprotocol, the standard's first. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"];
const STATUS_TEXTS = { 400: "Bad Request", 403: "Forbidden", 404: "Not Found" } as const;

/** The receiver that they belong to. */
export interface WebSocketsOwner {
  readonly context: ReceiverContext<MqttListenerOptions>;
  /** What all connections keep of packets, and frames, whose end has not come. */
  readonly unfinished: UnfinishedBytes;
}

/** Accepts websockets that speak MQTT as streams. @throws PORT_IN_USE, ADDRESS_UNAVAILABLE, CONFIG_VALUE */
export async function listenForWebSockets(
  owner: WebSocketsOwner,
  transport: WebSocketTransport,
  access: Access,
  accept: (peer: PeerStream) => void,
): Promise<Pick<Listener, "close">> {
  const { options, http, guard, fail, logger, clock } = owner.context;
  const handshakes = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: Math.max(FRAME_BYTES, options.messageBytesMax + FRAME_EXTRA_BYTES),
    perMessageDeflate: false,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  const upgrade = ({ request, path, stream: peer, head }: HttpUpgrade): void => {
    const { stream } = peer;
    stream.on("error", () => stream.destroy());
    const { headers } = request;
    const status = refusalOf(transport, path, headers);
    if (status !== undefined) {
      access.refused(peer.peer, new HoldfastError("CONNECTION_REFUSED", WHY[status]));
      const cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () => stream.destroy());
      stream.once("close", cancel);
      stream.resume();
      stream.end(
        `HTTP/1.1 ${status} ${STATUS_TEXTS[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
      );
      return;
    }
    handshakes.handleUpgrade(request, stream, head, (socket: WebSocket) => {
      limitFrames(owner, socket, peer, access);
      accept({ ...peer, stream: createWebSocketStream(socket) });
    });
  };
  const listener = await http.listen(
    {
      host: options.host,
      port: transport.port,
      limits: {
        connectionsMax: options.connectionsMax + HANDSHAKES_MAX,
        bodyBytesMax: 0,
        headerBytesMax: HEADER_BYTES_MAX,
        requestTimeoutMs: HANDSHAKE_TIMEOUT_MS,
        idleTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      },
      ...access,
      upgrade: guard(upgrade),
    },
    async () => ({ status: 426, headers: { upgrade: "websocket" }, body: "This is MQTT.\n" }),
    fail,
  );
  const { host, port } = listener.address;
  logger.info(`MQTT over websockets listens on ${host}:${port}`, { host, port });
  return {
    // Websockets end with their clients; who has none is not worth a wait.
    close: () => {
      void listener.close(AbortSignal.abort());
      return Promise.resolve();
    },
  };
}

/** What a websocket keeps of a frame counts as what a gate keeps of a packet. */
function limitFrames(
  { context: { guard }, unfinished }: WebSocketsOwner,
  socket: WebSocket,
  { stream, peer }: PeerStream,
  access: Access,
): void {
  const frames: UnfinishedHolder = {
    evict: (cause) => {
      access.refused(peer, cause);
      stream.destroy();
    },
  };
  const changed = guard((byteCount: number) => unfinished.set(frames, byteCount));
  countUnfinished(socket, stream, changed);
  stream.once("close", () => unfinished.set(frames, 0));
}

const WHY: Readonly<Record<keyof typeof STATUS_TEXTS, string>> = {
  400: "its websocket does not offer the subprotocol mqtt",
  403: "its page's origin is not in `origins`",
  404: "it asked for another path",
};

function refusalOf(
  { path, origins }: WebSocketTransport,
  asked: string,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): keyof typeof STATUS_TEXTS | undefined {
  const { origin } = headers;
  if (asked !== path) return 404;
  if (typeof origin === "string" && !origins.includes("*") && !origins.includes(origin)) return 403;
  const offered = String(headers["sec-websocket-protocol"] ?? "")
    .split(",")
    .map((name) => name.trim());
  return SUBPROTOCOLS.some((name) => offered.includes(name)) ? undefined : 400;
}
