/**
 * Randomness. The only file that touches `Math.random` and `node:crypto`'s generator.
 */
import { randomBytes } from "node:crypto";

/** Where jitter and identities come from. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** `count` bytes, unpredictable in the real one. */
  bytes(count: number): Uint8Array;
}

/** The machine's generator. */
export const realRandom: Random = {
  next: () => Math.random(),
  bytes: (count) => randomBytes(count),
};

/** Lower-case hex of `byteCount` random bytes: identities such as writer ids. */
export function randomHex(random: Random, byteCount: number): string {
  return Buffer.from(random.bytes(byteCount)).toString("hex");
}
