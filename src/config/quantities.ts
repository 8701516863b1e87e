/**
 * Durations and sizes for people to read: the largest unit that says the number exactly.
 */

const DURATIONS: readonly (readonly [number, string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
  [1, "ms"],
];
const SIZES: readonly (readonly [number, string])[] = [
  [2 ** 40, "TiB"],
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
  [1, "B"],
];

/** Milliseconds as `90s`, `1m`, `250ms`: reads back as the same number. */
export function showDuration(ms: number): string {
  return exact(ms, DURATIONS, "ms");
}

/** Bytes as `64MiB`, `512B`: reads back as the same number. */
export function showSize(bytes: number): string {
  return exact(bytes, SIZES, "B");
}

function exact(
  amount: number,
  units: readonly (readonly [number, string])[],
  smallest: string,
): string {
  const unit = amount === 0 ? undefined : units.find(([size]) => Number.isInteger(amount / size));
  return unit === undefined ? `${amount}${smallest}` : `${amount / unit[0]}${unit[1]}`;
}
