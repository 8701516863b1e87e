/**
 * Joins checksums of neighbouring bytes without reading the bytes again: what is known of a payload while an
 * entry fills need not be computed when it is sealed, whatever seed it is sealed with.
 *
 * A CRC-32 is linear. `crc(seed, bytes)` is `crc(0, bytes)` xor the seed moved on by as many zero bytes, and
 * moving on by n bytes is a product with x^(8n) modulo the polynomial. Bits are reflected: the highest bit of
 * a number is the power 0.
 */

const POLYNOMIAL = 0xedb8_8320;
const ONE = 0x8000_0000;
const X = 0x4000_0000;
const POWERS_COUNT = 32;
/** 8 bits of a byte are the third power of two. */
const BYTE_POWER = 3;

/** Product of two polynomials modulo the CRC's. */
function product(left: number, right: number): number {
  let sum = 0;
  let factor = right;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((left & bit) !== 0) sum ^= factor;
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL;
  }
  return sum >>> 0;
}

/** x^(2^n) for each n. */
const POWERS: Uint32Array = powers();

function powers(): Uint32Array {
  const list = new Uint32Array(POWERS_COUNT);
  let power = X;
  for (let index = 0; index < POWERS_COUNT; index += 1) {
    list[index] = power;
    power = product(power, power);
  }
  return list;
}

/**
 * The checksum of `byteCount` bytes with `seed`, when their checksum with seed 0 is `crc`. At most 2^28 bytes.
 * Takes a microsecond: worth it for more than a few KiB.
 */
export function withSeed(crc: number, byteCount: number, seed: number): number {
  let shift = ONE;
  for (let left = byteCount, index = BYTE_POWER; left !== 0; left >>>= 1, index += 1)
    if ((left & 1) !== 0) shift = product(POWERS[index] ?? 0, shift);
  return (product(shift, seed >>> 0) ^ crc) >>> 0;
}
