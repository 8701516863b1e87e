/**
 * What aedes may keep, with limits: retained messages, wills, and the packet ids of QoS 2, which are ours.
 *
 * Nothing is kept for a client that is away: it subscribes again after each connect, and gets what is published from then
 * on. So no queue grows for a device that never comes back.
 */
import { Readable } from "node:stream";
import type { Sessions, SessionClient } from "./sessions.ts";
import { covers } from "./topic-rules.ts";

/** Topics with a retained message, and the bytes of them all; beyond either a new topic is not retained. */
const RETAINED_MAX = 10_000;
const RETAINED_BYTES_MAX: number = 16 * 1024 * 1024;

/** A packet as aedes hands it over, as far as it is looked at here. */
export interface KeptPacket {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly messageId?: number;
}
/** A client likewise. */
export interface KeptClient extends SessionClient {
  readonly closed: boolean;
  readonly conn: { destroy(): unknown };
}

/** The interface that aedes asks for. */
export class Persistence {
  readonly #sessions: Sessions;
  readonly #retained = new Map<string, KeptPacket>();
  #retainedBytes = 0;
  readonly #wills = new Map<string, object>();
  readonly #full: () => void;

  /** `full` is called for each message that is not retained. */
  constructor(sessions: Sessions, full: () => void) {
    this.#sessions = sessions;
    this.#full = full;
  }

  readonly setup = async (): Promise<void> => {
    // Nothing to prepare. aedes looks at the kind of the function.
  };

  async storeRetained(packet: KeptPacket): Promise<void> {
    const { topic, payload } = packet;
    const bytes = payload.length + topic.length;
    const old = this.#retained.get(topic);
    const oldBytes = old === undefined ? 0 : old.payload.length + topic.length;
    const isFull =
      this.#retainedBytes - oldBytes + bytes > RETAINED_BYTES_MAX ||
      (old === undefined && this.#retained.size >= RETAINED_MAX);
    if (payload.length > 0 && isFull) return this.#full();
    this.#retained.delete(topic);
    this.#retainedBytes -= oldBytes;
    if (payload.length === 0) return;
    // A copy: the payload is a view of what was read with it.
    this.#retained.set(topic, { ...packet, payload: Buffer.from(payload) });
    this.#retainedBytes += bytes;
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const found = [...this.#retained.values()].filter(({ topic }) =>
      filters.some((filter) => covers(filter, topic) || filter === `${topic}/#`),
    );
    return Readable.from(found);
  }

  // Subscriptions end with the connection, and nothing is queued for who is away.
  async addSubscriptions(): Promise<void> {}
  async removeSubscriptions(): Promise<void> {}
  async cleanSubscriptions(): Promise<void> {}
  async subscriptionsByClient(): Promise<readonly never[]> {
    return [];
  }
  async subscriptionsByTopic(): Promise<readonly never[]> {
    return [];
  }
  async outgoingEnqueue(): Promise<void> {}
  async outgoingEnqueueCombi(): Promise<void> {}
  async outgoingUpdate(): Promise<void> {}
  async outgoingClearMessageId(): Promise<undefined> {}
  outgoingStream(): Readable {
    return Readable.from([]);
  }

  /**
   * Where it cannot be known, because the log is being opened again, nothing is answered and the connection ends: aedes
   * would send PUBCOMP.
   */
  incomingGetPacket(client: KeptClient, packet: KeptPacket): Promise<KeptPacket> {
    return new Promise((resolve, reject) => {
      orEnd(client, () => {
        if (this.#sessions.isKnown(client, packet.messageId ?? 0)) resolve(packet);
        else reject(NO_SUCH_PACKET);
      });
    });
  }

  async incomingStorePacket(client: KeptClient, { messageId = 0 }: KeptPacket): Promise<void> {
    this.#sessions.keep(client, messageId);
  }

  /**
   * Before PUBCOMP. Where it fails nothing is answered, and the connection ends: aedes would send PUBCOMP all the same,
   * and the next message with this id would be taken for the old one after a crash.
   */
  incomingDelPacket(client: KeptClient, { messageId = 0 }: KeptPacket): Promise<void> {
    return new Promise((resolve) => {
      orEnd(client, () =>
        this.#sessions.release(client, messageId, (cause) => {
          if (cause === undefined) resolve();
          else client.conn.destroy();
        }),
      );
    });
  }

  /** At each connect with a clean session, and when such a client is gone. */
  cleanIncoming(client: KeptClient): Promise<void> {
    if (client.closed) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#sessions.clear(client, (cause) => (cause === undefined ? resolve() : reject(cause)));
    });
  }

  async putWill(client: KeptClient, will: object): Promise<void> {
    this.#wills.set(client.id, will);
  }

  async delWill({ id }: { readonly id: string }): Promise<object | undefined> {
    const will = this.#wills.get(id);
    this.#wills.delete(id);
    return will;
  }

  streamWill(): Readable {
    return Readable.from([]);
  }
}

/** A throw ends the connection: the client asks again over the next one. */
function orEnd({ conn }: KeptClient, act: () => void): void {
  try {
    act();
  } catch {
    conn.destroy();
  }
}

/** One for all: it is the answer for each new message of QoS 2, and nobody reads its stack. */
const NO_SUCH_PACKET = new Error("no such packet");
