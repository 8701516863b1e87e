/**
 * CRC-32 (IEEE 802.3, reflected, as zlib has it), by the fastest code that is here.
 *
 * Node's own reads about 5 GB/s, the native package `@node-rs/crc32` about 13 GB/s and is slower below some hundred
 * bytes (docs/decisions/wal-choices.md). It is optional: where it is not installed, or answers anything else than
 * Node, Node's own does all. The numbers are the same, so a log can move between both.
 */
import { createRequire } from "node:module";
import { crc32 as nodeCrc32 } from "node:zlib";
import { nativeOr } from "../host/native-function.ts";

type Crc32 = (bytes: Uint8Array, seed: number) => number;

/** From this length on the native package is faster. */
export const NATIVE_BYTES_MIN = 1_024;

/** What both are asked once, to see that they agree: seeds and lengths of every kind. */
const PROBES: readonly (readonly [length: number, seed: number])[] = [
  [9, 0],
  [1_000, 0xffff_ffff],
  [4_097, 0x8000_0001],
];

/**
 * The package's function, or Node's own.
 *
 * @param load - gives the package, or throws where it is not installed
 */
export function fastestCrc32(load: () => unknown): Crc32 {
  return nativeOr<Crc32>(load, {
    name: "crc32",
    own: nodeCrc32,
    agrees: (native) => PROBES.every((probe) => agrees(native, probe)),
  });
}

function agrees(native: Crc32, [length, seed]: (typeof PROBES)[number]): boolean {
  const bytes = Uint8Array.from({ length }, (_, index) => (index * 31) % 251);
  return native(bytes, seed) === nodeCrc32(bytes, seed);
}

let large: Crc32 | undefined;

/** The checksum of `bytes[from, to)`, begun with `seed`: a checksum goes on where another one ended. */
export function crc32(bytes: Uint8Array, from: number, to: number, seed: number): number {
  // Node answers 0 for an empty array without memory behind it, and the seed for other empty ones.
  if (from >= to) return seed;
  const part = bytes.subarray(from, to);
  if (part.length < NATIVE_BYTES_MIN) return nodeCrc32(part, seed);
  // Not before it is needed: loading it takes 3 ms.
  large ??= fastestCrc32(() => createRequire(import.meta.url)("@node-rs/crc32"));
  return large(part, seed);
}
