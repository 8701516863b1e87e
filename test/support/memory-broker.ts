/**
 * An MQTT broker in memory that does what a test says: it sees every packet and sends none by itself.
 */
import { Duplex } from "node:stream";
import { generate, type Packet, parser } from "mqtt-packet";
import { realClock } from "../../src/host/clock.ts";
import type { ConnectOptions, PeerStream, Sockets } from "../../src/host/sockets.ts";

/** Turns of the loop after which a packet that was sent has had all its effects. */
const TURNS = 8;
/** More than anything in memory takes. */
const TURNS_MAX = 2_000;

const absent = (): never => {
  throw new Error("a broker in memory has no such sockets");
};

/** Lets what was sent and stored have its effects. */
export async function turns(count: number = TURNS): Promise<void> {
  for (let turn = 0; turn < count; turn++) await realClock.yield();
}

/** Waits for a condition, a bounded number of turns. */
export async function reached(what: string, isReached: () => boolean): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    if (isReached()) return;
    await realClock.yield();
  }
  throw new Error(`${what}: not after ${TURNS_MAX} turns`);
}

/** The network: each connect is a new {@link BrokerSide}. */
export class MemoryBroker implements Sockets {
  readonly connections: BrokerSide[] = [];
  readonly dialled: ConnectOptions[] = [];
  /** Rejects every connect from now on. */
  refuseWith: Error | undefined;
  readonly #protocolVersion: 4 | 5;
  readonly listen: () => never = absent;
  readonly connect: () => never = absent;
  readonly listenStreams: () => never = absent;

  constructor(protocolVersion: 4 | 5 = 5) {
    this.#protocolVersion = protocolVersion;
  }

  connectStream(options: ConnectOptions): Promise<PeerStream> {
    this.dialled.push(options);
    if (this.refuseWith !== undefined) return Promise.reject(this.refuseWith);
    const side = new BrokerSide(this.#protocolVersion);
    this.connections.push(side);
    return Promise.resolve({ stream: side.far, peer: "broker:1883", peerNames: [] });
  }

  /** The newest connection. */
  get last(): BrokerSide {
    const side = this.connections.at(-1);
    if (side === undefined) throw new Error("nobody has connected");
    return side;
  }
}

/** One connection as the broker sees it. */
export class BrokerSide {
  /** What the client holds. */
  readonly far: Duplex;
  /** Everything that the client sent. */
  readonly packets: Packet[] = [];
  /** Told of each packet. */
  onPacket: (packet: Packet) => void = () => undefined;
  /** The client has ended its side, or the connection is gone. */
  isEnded = false;
  /** Writes of the client, by their bytes. */
  readonly writes: Buffer[] = [];
  /** The client has not taken this; it has stopped reading. */
  readonly #options: { readonly protocolVersion: 4 | 5 };

  constructor(protocolVersion: 4 | 5) {
    this.#options = { protocolVersion };
    const packets = parser(this.#options);
    packets.on("packet", (packet) => {
      this.packets.push(packet);
      this.onPacket(packet);
    });
    this.far = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        this.writes.push(Buffer.from(chunk));
        packets.parse(chunk);
        done();
      },
      final: (done) => {
        this.isEnded = true;
        done();
      },
      destroy: (cause, done) => {
        this.isEnded = true;
        done(cause);
      },
    });
  }

  /** Bytes that were sent and that the client leaves in its socket. */
  get unreadBytes(): number {
    return this.far.readableLength;
  }

  send(...packets: readonly Packet[]): void {
    this.sendBytes(Buffer.concat(packets.map((packet) => generate(packet, this.#options))));
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.far.destroyed) this.far.push(Buffer.from(bytes));
  }

  bytesOf(packet: Packet): Buffer {
    return generate(packet, this.#options);
  }

  /** FIN. */
  end(): void {
    this.far.push(null);
  }

  /** RST. */
  reset(): void {
    this.far.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
  }

  /** Packets of one kind. */
  of<Cmd extends Packet["cmd"]>(cmd: Cmd): readonly Extract<Packet, { cmd: Cmd }>[] {
    return this.packets.filter(
      (packet): packet is Extract<Packet, { cmd: Cmd }> => packet.cmd === cmd,
    );
  }

  /** Acknowledgements as `puback 1`, in order. */
  get acks(): readonly string[] {
    return this.packets
      .filter(({ cmd }) => /^pub(ack|rec|comp)$/.test(cmd))
      .map(({ cmd, messageId }) => `${cmd} ${messageId}`);
  }
}

/** A PUBLISH. */
export function publish(
  topic: string,
  payload: string | Buffer,
  [qos, messageId = 0]: readonly [qos: 0 | 1 | 2, id?: number],
  more: Partial<Extract<Packet, { cmd: "publish" }>> = {},
): Packet {
  const id = qos === 0 ? {} : { messageId };
  return { cmd: "publish", topic, payload, qos, dup: false, retain: false, ...id, ...more };
}
