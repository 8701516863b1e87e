/**
 * Idempotency keys of the log: what was stored under them, so that a request that is sent again is recognised, also
 * after a crash. Each key is durable in the same entry as its records; the head of each segment repeats the newest.
 */
import type { KeyedStore } from "../contract/log.ts";
import type { KeyedBlock } from "./entry-extras.ts";
import { type KeyRow, keyRowsIn } from "./tables.ts";

/** Keys that are remembered; the oldest one is forgotten first. */
export const KEYS_MAX = 4_096;
/** How long a key is remembered. */
export const KEY_AGE_MS_MAX: number = 24 * 3_600_000;

/** Share of a segment that its table of keys may take; it is written twice. */
export const KEYS_SHARE: number = 1 / 64;

/** See the file's head. */
export class KeyTable {
  /** By their hash, oldest first. */
  readonly #rows = new Map<string, KeyRow>();

  /** What became durable under a key. */
  add(row: KeyRow): void {
    const name = nameOf(row.keyHash);
    this.#rows.delete(name);
    this.#rows.set(name, row);
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size <= KEYS_MAX) return;
      this.#rows.delete(oldest);
    }
  }

  /** Those of an entry that is on disk. */
  addAll(
    keyed: readonly KeyedBlock[],
    { firstOffset, wallMs }: { readonly firstOffset: number; readonly wallMs: number },
  ): void {
    for (const { keyHash, bodyHash, firstRecord, count } of keyed)
      this.add({
        keyHash,
        bodyHash,
        firstOffset: firstOffset + firstRecord,
        recordCount: count,
        wallMs,
      });
  }

  find(keyHash: Uint8Array, wallMs: number): KeyedStore | undefined {
    const row = this.#rows.get(nameOf(keyHash));
    return row === undefined || isOld(row, wallMs) ? undefined : row;
  }

  /** Rows for the head of a segment: the newest that fit, oldest first. */
  rows(wallMs: number, tableBytesMax: number): readonly KeyRow[] {
    const young = [...this.#rows.values()].filter((row) => !isOld(row, wallMs));
    return young.slice(-keyRowsIn(tableBytesMax));
  }
}

/** A clock that went back makes no key old. */
function isOld(row: KeyRow, wallMs: number): boolean {
  return wallMs - row.wallMs > KEY_AGE_MS_MAX;
}

function nameOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("latin1");
}
