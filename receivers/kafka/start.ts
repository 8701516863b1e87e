/**
 * Where a partition starts, decided from what the log holds, what the group knows and what the broker has.
 */
import type { Position } from "./position.ts";

/** What the cluster says of a partition now. */
export interface PartitionFacts {
  readonly topicId: string | undefined;
  /** What the group has committed; undefined for nothing. */
  readonly groupOffset: number | undefined;
  /** Offset of the first record that the broker still has. */
  readonly low: number;
  /** Offset behind the last record that may be read. */
  readonly high: number;
}

/** What was decided. */
export type Start =
  | {
      readonly kind: "start";
      readonly offset: number;
      /** Offsets that had passed their retention before they were read. */
      readonly expiredCount: number;
    }
  /** The id of the topic is another one: its offsets have begun again. */
  | { readonly kind: "recreated"; readonly held: Position; readonly topicId: string }
  /** The partition ends before what the log holds of it: made again, or its tail was lost by the cluster. */
  | { readonly kind: "truncated"; readonly held: Position; readonly high: number };

/**
 * `held` is what the log has, or will have when what was handed over is on disk. The later of the log's and the group's
 * position counts: what is below the log's is in the log, what is below the group's was another member's.
 */
export function startOf(
  facts: PartitionFacts,
  held: Position | undefined,
  from: "earliest" | "latest",
): Start {
  const reset = resetOf(facts, held);
  if (reset !== undefined) return reset;
  const { low, high, groupOffset } = facts;
  // A group that is ahead of the partition counts positions of a topic that is no more: nothing of this one was read.
  const known = groupOffset !== undefined && groupOffset > high ? low : groupOffset;
  if (known === undefined && held === undefined)
    return { kind: "start", offset: from === "earliest" ? low : high, expiredCount: 0 };
  const wanted = Math.max(known ?? 0, held?.next ?? 0);
  return {
    kind: "start",
    offset: Math.max(wanted, low),
    expiredCount: Math.max(0, low - wanted),
  };
}

/** From the beginning of a topic that was made again. What the group has may be of the old one, and is not asked. */
export function startAnew({ low }: PartitionFacts): Extract<Start, { kind: "start" }> {
  return { kind: "start", offset: low, expiredCount: 0 };
}

function resetOf(
  { topicId, high }: PartitionFacts,
  held: Position | undefined,
): Exclude<Start, { kind: "start" }> | undefined {
  if (held === undefined) return undefined;
  const areKnown = topicId !== undefined && held.topicId !== undefined;
  if (areKnown && topicId !== held.topicId) return { kind: "recreated", held, topicId };
  return held.next > high ? { kind: "truncated", held, high } : undefined;
}
