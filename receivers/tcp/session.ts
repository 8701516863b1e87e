/**
 * Sessions of tcp clients: an optional first line `HOLDFAST-SESSION <name>` names a count that goes on over connections,
 * restarts and crashes, so that a client that sends again sends exactly what is missing.
 *
 * The count of a session is the position of its channel: it is durable in the same entry as the messages it counts.
 */
import { HoldfastError } from "../../src/errors.ts";

const PREFIX: Buffer = Buffer.from("HOLDFAST-SESSION ");
/** Longest name of a session in bytes. */
const NAME_BYTES_MAX = 128;
const NAME = /^[A-Za-z0-9._:-]+$/;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const POSITION_BYTES = 8;

/** What the first bytes of a connection are; `rest` is a copy of what came behind the line. */
export type Opening =
  | { readonly kind: "unknown" }
  /** A client without a session; its first bytes are those that were kept, and this chunk. */
  | { readonly kind: "messages" }
  | { readonly kind: "session"; readonly name: string; readonly rest: Uint8Array }
  | { readonly kind: "refused"; readonly error: HoldfastError };

/** Reads the first bytes of one connection. */
export class OpeningReader {
  #kept: Buffer = Buffer.alloc(0);

  /** Bytes of earlier chunks that may begin a session: at most the prefix and the longest name. */
  get kept(): Buffer {
    return this.#kept;
  }

  /** Takes a chunk; from anything but `unknown` on it is not to be called again. */
  push(chunk: Uint8Array): Opening {
    const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const bytes = this.#kept.length === 0 ? view : Buffer.concat([this.#kept, chunk]);
    const length = Math.min(bytes.length, PREFIX.length);
    if (bytes.compare(PREFIX, 0, length, 0, length) !== 0) return { kind: "messages" };
    const end = bytes.indexOf(LINE_FEED);
    const nameBytes = (end === -1 ? bytes.length : end) - PREFIX.length;
    if (nameBytes > NAME_BYTES_MAX + 1) return refused(bytes, nameBytes);
    if (end === -1) {
      this.#kept = Buffer.from(bytes);
      return { kind: "unknown" };
    }
    const nameEnd = bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    const name = bytes.toString("latin1", PREFIX.length, nameEnd);
    if (name.length > NAME_BYTES_MAX || !NAME.test(name)) return refused(bytes, nameBytes);
    return { kind: "session", name, rest: Buffer.from(bytes.subarray(end + 1)) };
  }
}

function refused(bytes: Buffer, nameBytes: number): Opening {
  const shown = JSON.stringify(bytes.toString("latin1", PREFIX.length, PREFIX.length + 32));
  return {
    kind: "refused",
    error: new HoldfastError(
      "SESSION_INVALID",
      `name of a session begins with ${shown} and has ${nameBytes} bytes, allowed are 1 to ${NAME_BYTES_MAX} of ${NAME.source}`,
    ),
  };
}

/** The channel of a session. */
export function sessionChannel(name: string): string {
  return `session/${name}`;
}

/** A count as the position of a channel. */
export function countPosition(count: number): Uint8Array {
  const position = Buffer.alloc(POSITION_BYTES);
  position.writeBigUInt64LE(BigInt(count));
  return position;
}

/** The count in a position. @throws LOG_DAMAGED */
export function positionCount(position: Uint8Array): number {
  if (position.length !== POSITION_BYTES)
    throw new HoldfastError(
      "LOG_DAMAGED",
      `position of a session has ${position.length} bytes, wanted ${POSITION_BYTES}`,
    );
  const { buffer, byteOffset } = position;
  return Number(new DataView(buffer, byteOffset, POSITION_BYTES).getBigUint64(0, true));
}

/** What ends when a connection has nothing left to store. */
export interface SessionHolder {
  /** Another connection has taken its session: it reads nothing more. */
  supersede(): void;
  /** Resolves when nothing of it is on its way to the disk. */
  readonly over: Promise<void>;
}

interface Held {
  readonly holder: SessionHolder;
  readonly over: Promise<void>;
}

/** Who has which session: the newest connection. */
export class Sessions {
  readonly #held = new Map<string, Held>();

  /** Resolves when those that had it before have settled: the session's count does not grow by them any more. */
  async take(name: string, holder: SessionHolder): Promise<void> {
    const before = this.#held.get(name);
    const held = { holder, over: bothOver(before?.over, holder.over) };
    this.#held.set(name, held);
    void this.#forgetAfter(name, held);
    before?.holder.supersede();
    await before?.over;
  }

  async #forgetAfter(name: string, held: Held): Promise<void> {
    await held.over;
    if (this.#held.get(name) === held) this.#held.delete(name);
  }
}

async function bothOver(before: Promise<void> | undefined, own: Promise<void>): Promise<void> {
  await before;
  await own;
}
