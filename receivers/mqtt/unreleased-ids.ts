/**
 * QoS 2: packet ids whose record is on disk, or on its way, and which the broker has not released yet. The set is the
 * position of the session's channel, durable together with the record that adds an id.
 *
 * With each id stands a digest of its message. A broker that was restored from an older state uses ids again that we hold:
 * what comes then under such an id is another message, and taking it for the old one would lose it.
 *
 * As a position, numbers big-endian:
 *
 *   | version u8 = 1 | digests u8: 0 or 1 | runs u16 | each run: first id u16, last id u16 | each id: digest u16 |
 *
 * Where the digests do not fit they are left out: then the id alone decides.
 */
import { HoldfastError } from "../../src/errors.ts";
import { protocolError } from "./packet-splitter.ts";

const VERSION = 1;
const HEAD_BYTES = 4;
const RUN_BYTES = 4;
const DIGEST_BYTES = 2;
const ID_MAX = 65_535;
/** Longest position that the log takes. */
const POSITION_BYTES_MAX = 4_096;
/** Brokers number in order, so that a set of any size is a few runs. */
const RUNS_MAX = (POSITION_BYTES_MAX - HEAD_BYTES) / RUN_BYTES;
/** Of an id whose digest was left out. */
const UNKNOWN = 0;

/** A set of packet ids 1 .. 65,535, each with the digest of its message. */
export class UnreleasedIds {
  /** A bit per id. */
  readonly #bits = new Uint8Array((ID_MAX + 1) / 8);
  readonly #digests = new Uint16Array(ID_MAX + 1);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    return ((this.#bits[id >> 3] ?? 0) & (1 << (id & 7))) !== 0;
  }

  /** Whether the message of this digest is held under this id, as far as is known. */
  holds(id: number, digest: number): boolean {
    const known = this.#digests[id];
    return this.has(id) && (known === UNKNOWN || known === digest);
  }

  /** Holds this message under this id, whatever was held there before. */
  add(id: number, digest: number): void {
    this.#digests[id] = digest;
    if (this.has(id)) return;
    this.#bits[id >> 3] = (this.#bits[id >> 3] ?? 0) | (1 << (id & 7));
    this.#size += 1;
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    if (!this.has(id)) return false;
    this.#bits[id >> 3] = (this.#bits[id >> 3] ?? 0) & ~(1 << (id & 7));
    this.#size -= 1;
    return true;
  }

  /** The set as a position. @throws MQTT_PROTOCOL_ERROR for ids in more than 1,023 runs */
  encode(): Uint8Array {
    const runs = this.#runs();
    const runCount = runs.length / 2;
    if (runCount > RUNS_MAX)
      throw protocolError(
        `the unreleased QoS 2 packet ids are ${runCount} runs, limit ${RUNS_MAX}`,
      );
    const digestsAt = HEAD_BYTES + runCount * RUN_BYTES;
    const hasDigests = digestsAt + this.#size * DIGEST_BYTES <= POSITION_BYTES_MAX;
    const bytes = Buffer.alloc(digestsAt + (hasDigests ? this.#size * DIGEST_BYTES : 0));
    bytes[0] = VERSION;
    bytes[1] = hasDigests ? 1 : 0;
    bytes.writeUInt16BE(runCount, 2);
    runs.forEach((id, index) => bytes.writeUInt16BE(id, HEAD_BYTES + index * 2));
    if (hasDigests) this.#writeDigests(bytes, digestsAt, runs);
    return bytes;
  }

  #writeDigests(bytes: Buffer, start: number, runs: readonly number[]): void {
    let at = start;
    for (let run = 0; run < runs.length; run += 2)
      for (let id = runs[run] ?? 0; id <= (runs[run + 1] ?? 0); id++)
        at = bytes.writeUInt16BE(this.#digests[id] ?? UNKNOWN, at);
  }

  /** First and last id of each run, ascending. */
  #runs(): readonly number[] {
    const runs: number[] = [];
    let left = this.#size;
    for (let at = 0; left > 0; at++) {
      if (this.#bits[at] === 0) continue;
      for (let id = at * 8; id < at * 8 + 8; id++) {
        if (!this.has(id)) continue;
        left -= 1;
        if (runs.at(-1) === id - 1) runs[runs.length - 1] = id;
        else runs.push(id, id);
      }
    }
    return runs;
  }

  /** The set of a position; none is an empty set. @throws LOG_VERSION for one of a newer program */
  static decode(position: Uint8Array | undefined): UnreleasedIds {
    const ids = new UnreleasedIds();
    if (position === undefined) return ids;
    if (position[0] !== VERSION)
      throw new HoldfastError(
        "LOG_VERSION",
        `packet ids of version ${position[0] ?? "none"}, this program reads ${VERSION}`,
      );
    const bytes = Buffer.from(position.buffer, position.byteOffset, position.byteLength);
    const digestsAt = HEAD_BYTES + bytes.readUInt16BE(2) * RUN_BYTES;
    let digestAt = bytes[1] === 1 ? digestsAt : bytes.length;
    for (let at = HEAD_BYTES; at < digestsAt; at += RUN_BYTES) {
      const last = bytes.readUInt16BE(at + 2);
      for (let id = bytes.readUInt16BE(at); id <= last; id++) {
        ids.add(id, digestAt < bytes.length ? bytes.readUInt16BE(digestAt) : UNKNOWN);
        digestAt += DIGEST_BYTES;
      }
    }
    return ids;
  }
}
