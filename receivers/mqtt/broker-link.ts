/**
 * One connection to the broker. The client library connects, subscribes, pings and says goodbye; the packets of the
 * records go past it: it would handle them one at a time, and it has no place for a durable write before PUBREC.
 */
import type { Duplex } from "node:stream";
import {
  type IConnackPacket,
  type IDisconnectPacket,
  MqttClient,
  type Packet as LibraryPacket,
} from "mqtt";
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { HoldfastError, toError } from "../../src/errors.ts";
import type { Cancel } from "../../src/host/clock.ts";
import { connectionError } from "../../src/host/connection-error.ts";
import type { PeerStream } from "../../src/host/sockets.ts";
import { clientOptions } from "./client-options.ts";
import { type Acknowledger, Deliveries } from "./deliveries.ts";
import { keepsSession, type MqttOptions } from "./options.ts";
import {
  OVERSIZED_HEAD_BYTES,
  type Packet,
  type PacketConsumer,
  PacketSplitter,
  protocolError,
} from "./packet-splitter.ts";
import { connectRefused, disconnected } from "./refusals.ts";
import { isStuck, wireOver } from "./wire.ts";

/** Acknowledgements that the broker does not read pile up to here, then the connection ends. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** How long the broker may take to read our last acknowledgements and goodbye, and to end the connection. */
const LINGER_MS = 2_000;
/** What a PUBLISH has beside its payload: topic, id, properties. */
const PUBLISH_EXTRA_BYTES: number = OVERSIZED_HEAD_BYTES + 1024;
const CONNACK = 2;

/** What the link needs beside the receiver's context. */
export interface LinkParts {
  readonly clientId: string;
  /** CONNACK is here, and nothing behind it was looked at: the first moment to say what the session holds. */
  readonly accepted: (isSessionPresent: boolean) => void;
}

/** See the file's head. It is over once, with a cause, unless we ended it. */
export class BrokerLink implements PacketConsumer, Acknowledger {
  readonly deliveries: Deliveries;
  readonly client: MqttClient;
  /** Resolves when the broker has let us in; then the library may be asked for more. */
  readonly connected: Promise<void>;
  /** Resolves when the connection is gone: with the cause, or with nothing after `close` or `destroy`. */
  readonly over: Promise<Error | undefined>;
  readonly #context: ReceiverContext<MqttOptions>;
  readonly #parts: LinkParts;
  readonly #peer: string;
  readonly #socket: Duplex;
  readonly #wire: Duplex;
  readonly #splitter: PacketSplitter;
  #isAccepted = false;
  #isReadingPaused = false;
  #isEnding = false;
  #cause: Error | undefined;
  #pingTimer: Cancel | undefined;
  #end: (cause: Error | undefined) => void = () => undefined;

  constructor(
    context: ReceiverContext<MqttOptions>,
    { stream, peer }: PeerStream,
    parts: LinkParts,
  ) {
    const { options, guard } = context;
    this.#context = context;
    this.#parts = parts;
    this.#peer = peer;
    this.#socket = stream;
    this.#wire = wireOver(stream);
    this.deliveries = new Deliveries(context, this, keepsSession(options));
    this.#splitter = new PacketSplitter(this, options.payloadBytesMax + PUBLISH_EXTRA_BYTES);
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#listenToSocket();
    this.client = new MqttClient(() => this.#wire, clientOptions(context, parts.clientId));
    this.client.on(
      "packetreceive",
      guard((packet: LibraryPacket) => this.#heard(packet)),
    );
    this.client.on(
      "error",
      guard((cause: Error) => this.#libraryFailed(cause)),
    );
    this.connected = new Promise((resolve) => this.client.once("connect", () => resolve()));
    context.connections(1);
  }

  published(packet: Packet): void {
    this.#checkAccepted();
    this.deliveries.published(packet);
  }

  oversized(packet: Packet, packetBytes: number): void {
    this.#checkAccepted();
    this.deliveries.oversized(packet, packetBytes);
  }

  released(packet: Packet): void {
    this.#checkAccepted();
    this.deliveries.released(packet);
  }

  controlled(packet: Buffer, type: number): void {
    if (type === CONNACK) this.#accept(packet);
    else this.#checkAccepted();
    this.#wire.push(packet);
    if (isStuck(this.#wire)) throw protocolError("packets come faster than they can be read");
  }

  write(acknowledgements: Buffer): void {
    if (acknowledgements.length === 0 || !this.#wire.writable) return;
    this.#wire.write(acknowledgements);
    const { writableLength } = this.#wire;
    if (writableLength > UNSENT_BYTES_MAX)
      this.#fail(
        new HoldfastError(
          "CONNECTION_FAILED",
          `${this.#peer} does not read its acknowledgements: ${writableLength} bytes wait, limit ${UNSENT_BYTES_MAX}`,
        ),
      );
  }

  /** The broker waits in its socket. Its answers to pings do, too: pings go on, and nothing waits for their answers. */
  pauseReading(): void {
    this.#isReadingPaused = true;
    this.#socket.pause();
    this.#pingUnread();
  }

  resumeReading(): void {
    this.#isReadingPaused = false;
    this.#pingTimer?.();
    this.#socket.resume();
  }

  /** Goodbye: the broker keeps the session and publishes no will. Resolves when the connection is gone. */
  async close(): Promise<void> {
    if (this.#isEnding) return void (await this.over);
    this.#isEnding = true;
    if (this.#isReadingPaused) this.resumeReading();
    const cancel = this.#context.clock.after(LINGER_MS, () => this.destroy());
    this.client.end();
    await this.over;
    cancel();
  }

  /** Ends at once, without a goodbye. */
  destroy(): void {
    this.#isEnding = true;
    this.#finish();
  }

  #listenToSocket(): void {
    const { guard } = this.#context;
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    socket.on("error", (cause) => {
      this.#cause ??= connectionError(this.#peer, cause);
    });
    // The library may have to read yet why the broker ends: it is given that turn.
    const lost = guard(() => this.#lostSoon());
    socket.once("end", lost);
    socket.once("close", lost);
    // Told by the socket, and by the library's own end.
    this.#wire.on("error", () => undefined);
    this.#wire.once("close", lost);
  }

  #received(chunk: Buffer): void {
    if (this.#cause !== undefined) return;
    try {
      this.#splitter.push(chunk);
      this.deliveries.readEnded();
    } catch (cause) {
      this.#fail(toError(cause));
    }
  }

  #accept(packet: Buffer): void {
    if (this.#isAccepted) throw protocolError("a second CONNACK on one connection");
    // Behind the type and the bytes of the length, of which the last is below 0x80.
    const [flags = 0, code = 0] = packet.subarray(
      packet.findIndex((byte, i) => i > 0 && byte < 0x80) + 1,
    );
    this.#isAccepted = true;
    if (code === 0) this.#parts.accepted((flags & 1) === 1);
  }

  #checkAccepted(): void {
    if (!this.#isAccepted) throw protocolError("a packet before CONNACK");
  }

  #heard(packet: LibraryPacket): void {
    this.#context.alive();
    if (packet.cmd === "connack") this.#checkConnack(packet);
    else if (packet.cmd === "disconnect") this.#saidGoodbye(packet);
  }

  #checkConnack({ reasonCode, returnCode, properties }: IConnackPacket): void {
    const { protocolVersion } = this.#context.options;
    const reason = (protocolVersion === 5 ? reasonCode : returnCode) ?? 0;
    if (reason === 0) return;
    this.#fail(connectRefused(this.#peer, { protocolVersion, reason, text: properties }));
  }

  #saidGoodbye({ reasonCode = 0, properties }: IDisconnectPacket): void {
    this.#fail(disconnected(this.#peer, reasonCode, properties));
  }

  /** The library ends the stream itself when it gives up. */
  #libraryFailed(cause: Error): void {
    this.#fail(
      /keepalive/i.test(cause.message)
        ? new HoldfastError("CONNECTION_STALLED", `${this.#peer} did not answer a ping`, { cause })
        : protocolError(`${this.#peer}: ${cause.message}`),
    );
  }

  #fail(cause: Error): void {
    if (this.#isEnding) return;
    this.#cause ??= cause;
    this.#finish();
  }

  #lostSoon(): void {
    const { clock, guard } = this.#context;
    void clock.yield().then(
      guard(() => {
        if (!this.#isEnding)
          this.#cause ??= new HoldfastError(
            "CONNECTION_FAILED",
            `${this.#peer} ended the connection`,
          );
        this.#finish();
      }),
    );
  }

  #finish(): void {
    this.#pingTimer?.();
    this.#wire.destroy();
    this.#context.connections(0);
    this.#end(this.#isEnding ? undefined : this.#cause);
  }

  #pingUnread(): void {
    const { clock, guard, alive } = this.#context;
    this.#pingTimer?.();
    this.#pingTimer = clock.after(
      (this.client.keepalive * 1000) / 2,
      guard(() => {
        this.client.sendPing();
        this.client.reschedulePing(true);
        alive();
        this.#pingUnread();
      }),
    );
  }
}
