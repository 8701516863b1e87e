/**
 * What an incarnation knows of a partition. At most one of its blocks is on the way to the disk, so that the log never
 * holds a later one without the one before it.
 */
import { keyOf, type TopicPartition } from "./lookup.ts";

/**
 * `checking`: assigned, and where to start is being asked; `open`: its records are taken; `leaving`: the group is about to
 * join again, and only what is on the way counts; `foreign`: another member's.
 */
type Phase = "checking" | "open" | "leaving" | "foreign";

/** What became of a block. `refused`: it may be handed over again. */
export type Outcome = "stored" | "refused" | "failed";

/** See the file's head. */
export class PartitionState implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly channel: string;
  phase: Phase = "foreign";
  topicId: string | undefined;
  /** Offset of the first record that was not handed over; undefined until it has started once. */
  next: number | undefined;
  /** Every record below it is on disk, set aside, or no record. */
  durable: number | undefined;
  /** What the group has. */
  committed: number | undefined;
  /** Whether kafkajs may have overwritten what the group had: the next start commits in any case. */
  isGroupInDoubt = false;
  /** Whether it was sent elsewhere while kafkajs may have held a batch of it: that one comes after the new start. */
  isLate = false;
  #flight: Promise<Outcome> | undefined;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
    this.channel = keyOf({ topic, partition });
  }

  get isOpen(): boolean {
    return this.phase === "open";
  }

  /** Whether the group does not yet know how far the log is. */
  get isUncommitted(): boolean {
    const isOurs = this.isOpen || this.phase === "leaving";
    return isOurs && this.durable !== undefined && this.durable !== this.committed;
  }

  /** Resolves when the block on the way is settled; never rejects. */
  get settled(): Promise<Outcome> | undefined {
    return this.#flight;
  }

  /** Its records are taken from `next` on. */
  open(start: {
    readonly next: number;
    readonly topicId: string | undefined;
    readonly committed: number | undefined;
  }): void {
    this.phase = "open";
    this.topicId = start.topicId;
    this.next = start.next;
    this.durable = start.next;
    this.committed = this.isGroupInDoubt ? undefined : start.committed;
    this.isGroupInDoubt = false;
  }

  /** Nothing up to `to` is left to be stored, but for what is on the way. */
  pass(to: number): void {
    this.next = to;
    if (this.#flight === undefined) this.durable = to;
  }

  /** A block that ends before `to` was handed over; `outcome` never rejects. */
  handOver(to: number, outcome: Promise<Outcome>): Promise<Outcome> {
    const from = this.next;
    this.next = to;
    const settled = outcome.then((result) => {
      this.#flight = undefined;
      if (result === "stored") this.durable = this.next;
      else this.next = from;
      return result;
    });
    this.#flight = settled;
    return settled;
  }
}

/** What is on the way of all of them; none rejects. */
export function flightsOf(partitions: Iterable<PartitionState>): readonly Promise<Outcome>[] {
  return [...partitions].flatMap(({ settled }) => (settled === undefined ? [] : [settled]));
}
