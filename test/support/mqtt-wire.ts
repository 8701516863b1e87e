/**
 * An mqtt-listener without a network, and clients that send any bytes they like.
 */
import { type Duplex, duplexPair } from "node:stream";
import { generate, type Packet, parser } from "mqtt-packet";
import { mqttListener, type MqttListenerInput } from "../../receivers/mqtt-listener/index.ts";
import type { Listener, PeerStream, Sockets } from "../../src/host/sockets.ts";
import { ReceiverHarness, settle } from "./receiver-harness.ts";

const absent = (): never => {
  throw new Error("this test has no such sockets");
};

/** Sockets whose streams a test makes up. */
export class MemoryStreams implements Sockets {
  #onStream: ((peer: PeerStream) => void) | undefined;
  readonly listen: () => never = absent;
  readonly connect: () => never = absent;
  readonly connectStream: () => never = absent;

  listenStreams(
    options: Parameters<Sockets["listenStreams"]>[0],
    onStream: (peer: PeerStream) => void,
  ): Promise<Listener> {
    this.#onStream = onStream;
    return Promise.resolve({
      address: { host: options.host, port: 1 },
      close: async () => {
        this.#onStream = undefined;
      },
    });
  }

  dial(peerNames: readonly string[] = []): MqttWire {
    const [near, far] = duplexPair();
    // What is a reset on a network.
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
    this.#onStream?.({ stream: near, peer: "10.0.0.9:50000", peerNames });
    return new MqttWire(far);
  }
}

/** The far side of a connection. */
export class MqttWire {
  readonly #stream: Duplex;
  /** What came, in order. */
  readonly packets: Packet[] = [];
  isClosed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    const packets = parser({ protocolVersion: 4 });
    packets.on("packet", (packet) => this.packets.push(packet));
    stream.on("data", (chunk: Buffer) => packets.parse(chunk));
    stream.on("error", () => undefined);
    for (const event of ["close", "end"])
      stream.on(event, () => {
        this.isClosed = true;
      });
  }

  /** Packet ids that were acknowledged with this kind of packet. */
  acknowledged(cmd: "puback" | "pubrec" | "pubcomp"): readonly (number | undefined)[] {
    return this.packets.filter((packet) => packet.cmd === cmd).map(({ messageId }) => messageId);
  }

  get returnCode(): number | undefined {
    const [connack] = this.packets;
    return connack?.cmd === "connack" ? connack.returnCode : undefined;
  }

  bytes(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  send(...packets: readonly Packet[]): this {
    this.#stream.write(Buffer.concat(packets.map((packet) => generate(packet))));
    return this;
  }

  connect(clientId: string, more: Partial<Extract<Packet, { cmd: "connect" }>> = {}): this {
    return this.send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      clientId,
      ...more,
    });
  }

  publish(payload: string, qos: 0 | 1 | 2 = 0, messageId = 1, topic = "t"): this {
    return this.send(message(payload, qos, messageId, topic));
  }

  stopReading(): void {
    this.#stream.pause();
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

/** A PUBLISH. */
export function message(payload: string, qos: 0 | 1 | 2, messageId = 1, topic = "t"): Packet {
  const packet = { cmd: "publish", topic, payload, qos, dup: false, retain: false } as const;
  return qos === 0 ? packet : { ...packet, messageId };
}

/** The parts that a test moves. */
export interface MqttWireScene {
  readonly engine: ReceiverHarness;
  readonly streams: MemoryStreams;
}

/** An open receiver; anonymous clients may connect unless the options say otherwise. */
export async function mqttWireScene(
  options: Partial<MqttListenerInput> = {},
  inflightBytesMax: number = Infinity,
  positions: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<MqttWireScene> {
  const streams = new MemoryStreams();
  const engine = new ReceiverHarness({ sockets: streams, inflightBytesMax });
  for (const [channel, position] of positions) engine.positions.set(channel, position);
  await engine.open(mqttListener("devices", { port: 0, anonymous: true, ...options }));
  const scene = { engine, streams };
  open.push(scene);
  return scene;
}

/** Turns of the loop, in which packets go back and forth. */
export async function turns(count: number = 4): Promise<void> {
  for (let turn = 0; turn < count; turn++) await settle();
}

/** A client that has its CONNACK, or was ended. */
export async function dialled(
  { streams }: MqttWireScene,
  clientId: string = "a",
  more: Parameters<MqttWire["connect"]>[1] = {},
): Promise<MqttWire> {
  const wire = streams.dial().connect(clientId, more);
  while (wire.packets.length === 0 && !wire.isClosed) await settle();
  return wire;
}

const open: MqttWireScene[] = [];

/** Ends all scenes: aedes has timers that keep the process. */
export async function endScenes(): Promise<void> {
  for (const { engine } of open.splice(0))
    await engine.session.close(AbortSignal.abort(new Error("the test is over")));
}
