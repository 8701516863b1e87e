/** Whether a process grew between two of its marks. */
import { isDeepStrictEqual } from "node:util";
import type { Footprint } from "./protocol.ts";

/** The first mark that counts: by then every path was taken, compiled and cached. */
const WARM_RESTARTS = 1_000;
const GROWTH_MAX = 0.02;

/** What grew, in words. */
export interface Growth {
  readonly text: string;
  readonly problems: readonly string[];
}

/** Compares the first warm mark with the last. Handles and timers may not differ, heap and buffers by 2 %. */
export function growth(footprints: readonly (Footprint & { readonly restarts: number })[]): Growth {
  const first = footprints.find(({ restarts }) => restarts >= WARM_RESTARTS);
  const last = footprints.at(-1);
  if (first === undefined || last === undefined || first === last)
    return { text: "too few marks to tell growth", problems: [] };
  const problems: string[] = [];
  const share = (before: number, after: number, what: string): string => {
    const grown = after / before - 1;
    if (grown > GROWTH_MAX) problems.push(`${what} grew from ${before} to ${after} bytes`);
    return `${what} ${(grown * 100).toFixed(2)} %`;
  };
  const shares = [
    share(first.heapBytes, last.heapBytes, "heap"),
    share(first.externalBytes, last.externalBytes, "memory outside the heap"),
  ];
  if (!isDeepStrictEqual(first.resources, last.resources))
    problems.push(
      `resources went from ${JSON.stringify(first.resources)} to ${JSON.stringify(last.resources)}`,
    );
  return {
    text: `growth from restart ${first.restarts} to ${last.restarts}: ${shares.join(", ")}`,
    problems,
  };
}
