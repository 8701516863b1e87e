/**
 * Packet ids of QoS 2: which messages are stored whose release has not come.
 *
 * A client without a clean session may send a message again after any crash, with the id that it had. So the ids of its
 * session are the position of a channel, durable in the entry of the very message, and an id is let go of durably before
 * PUBCOMP allows the client to use it again. For a client with a clean session the ids end with the connection.
 */
import { HoldfastError } from "../../src/errors.ts";
import type { Channel, Lane, Settle } from "./lane.ts";
import type { Message } from "./message-block.ts";

/** Ids of one session; aedes has a limit per connection, a session may have several one after the other. */
const IDS_MAX = 1_000;
/** Sessions in memory; the one that came longest ago is read from its position again when it comes back. */
const SESSIONS_MAX = 10_000;
const POSITION_VERSION = 1;

/** Who sends, as far as sessions are concerned. */
export interface SessionClient {
  readonly id: string;
  /** Its session ends with the connection. */
  readonly clean: boolean;
}

/**
 * `storing`: on its way to the disk. `fresh`: on disk, and aedes has not heard of it. `stored`: aedes knows it, too.
 * `releasing`: its end is on its way to the disk.
 */
type IdState = "storing" | "fresh" | "stored" | "releasing";

/** Ids of one client. */
class Session implements Channel {
  readonly name: string;
  readonly isDurable: boolean;
  readonly ids = new Map<number, IdState>();
  /** Who sent a message, or its release, while that was on its way; the first one started it. */
  readonly waiting = new Map<number, Settle[]>();

  constructor(client: SessionClient) {
    this.name = channelOf(client.id);
    this.isDurable = !client.clean;
  }

  position(): Uint8Array {
    const ids = [...this.ids].filter(([, state]) => state !== "releasing");
    const bytes = Buffer.alloc(1 + ids.length * 2, POSITION_VERSION);
    ids.forEach(([id], i) => bytes.writeUInt16BE(id, 1 + i * 2));
    return bytes;
  }
}

function channelOf(clientId: string): string {
  return `session:${clientId}`;
}

/** The ids in a position. @throws LOG_VERSION for one of a newer program */
export function idsOf(position: Uint8Array | undefined): readonly number[] {
  if (position === undefined) return [];
  const [version] = position;
  if (version !== POSITION_VERSION)
    throw new HoldfastError(
      "LOG_VERSION",
      `packet ids of version ${version ?? "none"}, this program reads ${POSITION_VERSION}`,
    );
  const bytes = Buffer.from(position.buffer, position.byteOffset, position.length);
  return Array.from({ length: (bytes.length - 1) >> 1 }, (_, i) => bytes.readUInt16BE(1 + i * 2));
}

/** All sessions of a listener. */
export class Sessions {
  readonly #lane: Lane;
  readonly #resumePosition: (channel: string) => Uint8Array | undefined;
  readonly #durable = new Map<string, Session>();
  #clean = new WeakMap<SessionClient, Session>();

  constructor(lane: Lane, resumePosition: (channel: string) => Uint8Array | undefined) {
    this.#lane = lane;
    this.#resumePosition = resumePosition;
  }

  /** Stores a message of QoS 2, once however often it is sent. */
  store(client: SessionClient, id: number, message: Message, settle: Settle): void {
    const session = this.#of(client);
    const state = session.ids.get(id);
    // Never in the caller's turn: aedes is in the middle of a packet.
    if (state === "fresh" || state === "stored") return queueMicrotask(settle);
    if (state === "storing") return void session.waiting.get(id)?.push(settle);
    if (state === "releasing") return settle(tooEarly(id));
    if (session.ids.size >= IDS_MAX) return settle(tooMany(session.ids.size));
    session.ids.set(id, "storing");
    const waiting = [settle];
    session.waiting.set(id, waiting);
    this.#lane.add(
      message,
      (cause) => {
        session.waiting.delete(id);
        if (cause === undefined) session.ids.set(id, "fresh");
        else session.ids.delete(id);
        for (const each of waiting) each(cause);
      },
      session.isDurable ? session : undefined,
    );
  }

  /** Whether aedes has heard of this message, and its release is not on disk. */
  isKnown(client: SessionClient, id: number): boolean {
    const state = this.#of(client).ids.get(id);
    return state === "stored" || state === "releasing";
  }

  /** aedes has heard of it now. */
  keep(client: SessionClient, id: number): void {
    const { ids } = this.#of(client);
    if (ids.get(id) === "fresh") ids.set(id, "stored");
  }

  /** Lets go of an id; the client may use it again when that is on disk. */
  release(client: SessionClient, id: number, settle: Settle): void {
    const session = this.#of(client);
    if (!session.isDurable) {
      session.ids.delete(id);
      return settle();
    }
    if (session.ids.get(id) === "releasing") {
      // Asked again over a newer connection: PUBCOMP waits for the disk there, too.
      const others = session.waiting.get(id);
      return others === undefined ? settle(tooEarly(id)) : void others.push(settle);
    }
    session.ids.set(id, "releasing");
    const waiting = [settle];
    session.waiting.set(id, waiting);
    this.#lane.move(session, (cause) => {
      session.waiting.delete(id);
      if (cause === undefined) session.ids.delete(id);
      else session.ids.set(id, "stored");
      if (session.ids.size === 0) this.#durable.delete(client.id);
      for (const each of waiting) each(cause);
    });
  }

  /** A client begins with a clean session: what it left of another one ends. */
  clear(client: SessionClient, settle: Settle): void {
    const name = channelOf(client.id);
    if (!this.#durable.has(client.id) && idsOf(this.#resumePosition(name)).length === 0)
      return settle();
    const left = this.#of({ id: client.id, clean: false });
    for (const id of left.ids.keys()) left.ids.set(id, "releasing");
    this.#lane.move(left, (cause) => {
      if (cause === undefined) {
        // What came behind it over yet another connection stays.
        for (const [id, state] of left.ids) if (state === "releasing") left.ids.delete(id);
        if (left.ids.size === 0) this.#durable.delete(client.id);
      }
      settle(cause);
    });
  }

  /** The log has refused messages: what is on disk is read again. */
  forgetAll(): void {
    this.#durable.clear();
    this.#clean = new WeakMap();
  }

  #of(client: SessionClient): Session {
    const known = client.clean ? this.#clean.get(client) : this.#durable.get(client.id);
    if (known !== undefined) return known;
    const session = new Session(client);
    if (client.clean) {
      this.#clean.set(client, session);
      return session;
    }
    // aedes of an earlier life is gone, so that it has to hear of them by PUBREL only.
    for (const id of idsOf(this.#resumePosition(session.name))) session.ids.set(id, "stored");
    this.#durable.set(client.id, session);
    this.#forgetOldest();
    return session;
  }

  #forgetOldest(): void {
    if (this.#durable.size <= SESSIONS_MAX) return;
    for (const [id, { ids }] of this.#durable) {
      const isQuiet = [...ids.values()].every((state) => state === "stored");
      if (isQuiet) return void this.#durable.delete(id);
    }
  }
}

function tooEarly(id: number): HoldfastError {
  return new HoldfastError("PROTOCOL_VIOLATION", `packet id ${id} was used before its PUBCOMP`);
}

function tooMany(count: number): HoldfastError {
  return new HoldfastError(
    "BUSY",
    `${count} messages of QoS 2 were not released, limit ${IDS_MAX}`,
  );
}
