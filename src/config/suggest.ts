/**
 * "Did you mean": the closest known word to one that is not known.
 */

/** Longest word that is compared; the distance takes time in proportion to both lengths. */
const WORD_CHARACTERS_MAX = 64;

/**
 * The candidate that a slip of the keyboard away is, or undefined: at most a third of its letters
 * may differ, and an exact match without case counts as closest.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    const allowed = Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    if (distance <= allowed && distance < bestDistance)
      [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** A `fix` that names the closest candidate, or lists what is allowed. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const match = closest(word, candidates);
  if (match !== undefined) return `did you mean "${match}"?`;
  return candidates.length === 0 ? "" : `known: ${candidates.join(", ")}`;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  if (a.length > WORD_CHARACTERS_MAX || b.length > WORD_CHARACTERS_MAX)
    return a === b ? 0 : Infinity;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++)
      row.push(nextDistance({ a, b, i, j, before, previous, row }));
    [before, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
}

interface DistanceStep {
  readonly a: string;
  readonly b: string;
  readonly i: number;
  readonly j: number;
  readonly before: readonly number[];
  readonly previous: readonly number[];
  readonly row: readonly number[];
}

function nextDistance({ a, b, i, j, before, previous, row }: DistanceStep): number {
  const at = (distances: readonly number[], index: number): number => distances[index] ?? Infinity;
  const replaced = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
  const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
  const swapped = swaps ? at(before, j - 2) + 1 : Infinity;
  return Math.min(at(previous, j) + 1, at(row, j - 1) + 1, replaced, swapped);
}
