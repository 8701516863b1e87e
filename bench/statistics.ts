/**
 * Numbers of several rounds as one, and the order of a round.
 */

/** The middle of the values; of an even number of them the mean of the middle two. Throws for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const high = sorted[Math.floor(sorted.length / 2)];
  const low = sorted[Math.ceil(sorted.length / 2) - 1];
  if (high === undefined || low === undefined) throw new Error("no values, no median");
  return (low + high) / 2;
}

/** The value below which a share (0 to 1) of the sorted values lies. Throws for none. */
export function quantile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.floor(share * (sorted.length - 1))];
  if (value === undefined) throw new Error("no values, no quantile");
  return value;
}

/** The same items in an order drawn by `next`, which gives numbers in [0, 1). */
export function shuffled<Item>(items: readonly Item[], next: () => number): readonly Item[] {
  return items
    .map((item) => ({ item, draw: next() }))
    .toSorted((left, right) => left.draw - right.draw)
    .map(({ item }) => item);
}
