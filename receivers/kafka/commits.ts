/**
 * Tells the group how far the log is: after the fsync, one commit at a time, not more often than the interval. A commit that
 * is lost costs nothing but a longer start: the next one covers it, and the log drops what it holds.
 */
import type { Offsets } from "kafkajs";
import type { Cancel, Clock } from "../../src/host/clock.ts";
import { CODES, type HoldfastError } from "../../src/errors.ts";
import { byTopic } from "./lookup.ts";
import type { PartitionState } from "./partition.ts";
import { classify, isRebalancing } from "./failures.ts";

/** A commit that fails so often in a row is a failure of the receiver. */
const FAILURES_MAX = 5;

/** What commits are made with. */
export interface CommitParts {
  readonly owner: string;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Those of the newest assignment. */
  readonly partitions: () => Iterable<PartitionState>;
  /** The group has them. */
  readonly committed: () => void;
  readonly fail: (cause: HoldfastError) => void;
}

/** One incarnation's commits. */
export class Commits {
  /** kafkajs's, for the assignment that holds when it is called; known from the first batch on. */
  send: ((offsets: Offsets) => Promise<void>) | undefined;
  readonly #parts: CommitParts;
  #lastMs = -Infinity;
  #timer: Cancel | undefined;
  #flight: Promise<void> | undefined;
  #failureCount = 0;
  #isClosed = false;

  constructor(parts: CommitParts) {
    this.#parts = parts;
  }

  /** Something became durable. */
  due(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    const { clock, intervalMs } = this.#parts;
    const waitMs = Math.max(0, this.#lastMs + intervalMs - clock.monotonicMs());
    this.#timer = clock.after(waitMs, () => {
      this.#timer = undefined;
      void this.flush();
    });
  }

  /** Commits all that is durable now; never rejects. */
  async flush(): Promise<void> {
    while (this.#flight !== undefined) await this.#flight;
    this.#flight = this.#commit().finally(() => {
      this.#flight = undefined;
    });
    await this.#flight;
  }

  /** Ends the timer; `flush` still works. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.();
    this.#timer = undefined;
  }

  async #commit(): Promise<void> {
    const { partitions, clock, committed } = this.#parts;
    const behind = [...partitions()].filter((each) => each.isUncommitted);
    if (behind.length === 0 || this.send === undefined) return;
    this.#lastMs = clock.monotonicMs();
    const offsets = new Map(behind.map((each) => [each, each.durable]));
    try {
      await this.send({
        topics: byTopic(behind).map(({ topic }) => ({
          topic,
          partitions: behind
            .filter((each) => each.topic === topic)
            .map(({ partition, durable }) => ({ partition, offset: String(durable) })),
        })),
      });
    } catch (cause) {
      return this.#failed(cause);
    }
    this.#failureCount = 0;
    for (const [each, offset] of offsets) each.committed = offset;
    committed();
    if (behind.some((each) => each.isUncommitted)) this.due();
  }

  #failed(cause: unknown): void {
    // Whoever joins again asks what the group has, and goes on from there.
    if (isRebalancing(cause)) return;
    const { owner, fail } = this.#parts;
    const error = classify(owner, cause);
    this.#failureCount++;
    if (!CODES[error.code].retried || this.#failureCount >= FAILURES_MAX) fail(error);
    else this.due();
  }
}
