/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4), which every batch of Kafka bears. The native package `@node-rs/crc32` computes it
 * at the speed of memory; where it is not installed, or answers anything else than the table, the table does all, at some
 * hundred MB/s.
 */
import { createRequire } from "node:module";
import { nativeOr } from "../../src/host/native-function.ts";

type Crc32c = (bytes: Uint8Array) => number;

/** The polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f6_3b78;
/** What both are asked once, to see that they agree. */
const PROBE_LENGTHS = [1, 9, 1_000, 4_097];

const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, index) => {
  let remainder = index;
  for (let bit = 0; bit < 8; bit++)
    remainder = (remainder & 1) === 0 ? remainder >>> 1 : (remainder >>> 1) ^ POLYNOMIAL;
  return remainder;
});

/** The checksum by the table. */
export function tableCrc32c(bytes: Uint8Array): number {
  let remainder = 0xffff_ffff;
  for (const byte of bytes) remainder = (remainder >>> 8) ^ (table[(remainder ^ byte) & 0xff] ?? 0);
  return (remainder ^ 0xffff_ffff) >>> 0;
}

/**
 * The package's function, or the table's.
 *
 * @param load - gives the package, or throws where it is not installed
 */
export function fastestCrc32c(load: () => unknown): Crc32c {
  return nativeOr<Crc32c>(load, {
    name: "crc32c",
    own: tableCrc32c,
    agrees: (native) => PROBE_LENGTHS.every((length) => agrees(native, length)),
  });
}

function agrees(native: Crc32c, length: number): boolean {
  const bytes = Uint8Array.from({ length }, (_, index) => (index * 31) % 251);
  return native(bytes) === tableCrc32c(bytes);
}

let fastest: Crc32c | undefined;

/** The checksum of all bytes, as a number from 0 to 2^32 - 1. */
export function crc32c(bytes: Uint8Array): number {
  fastest ??= fastestCrc32c(() => createRequire(import.meta.url)("@node-rs/crc32"));
  return fastest(bytes);
}
