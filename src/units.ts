/**
 * Durations and sizes as people write them: `10s`, `1.5h`, `64MiB`.
 */

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const SIZE_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** What both patterns of human units have in common: a decimal number, then a unit. */
const QUANTITY = /^([0-9]+(?:\.[0-9]+)?) *([A-Za-z]+)$/;

/** Milliseconds of `500ms`, `10s`, `1.5m`, `2h`, `1d`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit = ""] = QUANTITY.exec(text.trim()) ?? [];
  return times(amount, Object.hasOwn(DURATION_MS, unit) ? DURATION_MS[unit] : undefined);
}

/** Bytes of `512B`, `64KiB`, `1.5MiB`, `1GiB`, and of `kB`, `MB`, `GB` in thousands; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = ""] = QUANTITY.exec(text.trim()) ?? [];
  const key = unit.toLowerCase();
  const bytes = times(amount, Object.hasOwn(SIZE_BYTES, key) ? SIZE_BYTES[key] : undefined);
  return bytes === undefined ? undefined : Math.round(bytes);
}

function times(amount: string | undefined, unit: number | undefined): number | undefined {
  return amount === undefined || unit === undefined ? undefined : Number(amount) * unit;
}
