/**
 * Takes what kafkajs has fetched: into blocks, into the log, in the order of each partition. kafkajs calls it for one batch
 * at a time. While the log has no room a batch is held, with heartbeats; after a while it is left to the broker again.
 */
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { codeOf, toError } from "../../src/errors.ts";
import { BlockWriter, type FetchedMessage, type Written } from "./block-writer.ts";
import { classify, isRebalancing } from "./failures.ts";
import type { Gate } from "./gate.ts";
import type { KafkaOptions } from "./options.ts";
import type { Outcome, PartitionState } from "./partition.ts";
import { encodePosition } from "./position.ts";

/** How long a batch is held in memory before its partitions are paused and it is fetched again later. */
export const HOLD_MS_MAX = 2_000;

/** What kafkajs hands over: records of one partition, and what to tell it. */
export interface Fetched {
  readonly batch: {
    readonly topic: string;
    readonly partition: number;
    readonly messages: readonly FetchedMessage[];
    /** Where the fetch began. kafkajs has it, and does not declare it. */
    readonly fetchedOffset?: string;
    /** Offset of its last message, or of what comes behind that and is none. Needs its `this`. */
    lastOffset(): string;
  };
  /** The fetch goes on behind this offset. */
  readonly resolveOffset: (offset: string) => void;
  /** Rejects when the group is joining again. */
  readonly heartbeat: () => Promise<void>;
}

/** What kafkajs says of a batch without records. */
export interface Passed {
  readonly topic: string;
  readonly partition: number;
  readonly lastOffset: string;
}

/** Who takes batches. */
export interface BatchOwner {
  readonly context: ReceiverContext<KafkaOptions>;
  /** For messages: whom the receiver talks to. */
  readonly label: string;
  readonly gate: Gate;
  /** Undefined for one that was never ours. */
  readonly find: (topic: string, partition: number) => PartitionState | undefined;
  /** Asks again where to go on. */
  readonly check: (partition: PartitionState) => void;
  /** A block is durable. */
  readonly stored: () => void;
  /** No room came: every partition is paused at kafkajs until the engine resumes. */
  readonly leave: () => void;
}

/** Gives something to the log under this position. */
type Hand = (position: Uint8Array) => Promise<unknown>;

/** From where a partition has come to where it goes on then. */
interface Span {
  readonly from: number;
  readonly to: number;
}

type Refused = NonNullable<Written["refused"]>;

/** See the file's head. */
export class Batches {
  readonly #owner: BatchOwner;
  readonly #writer: BlockWriter;

  constructor(owner: BatchOwner) {
    this.#owner = owner;
    this.#writer = new BlockWriter(owner.context.options);
  }

  /** Called by kafkajs. Rejects only to make it join again. */
  async take(payload: Fetched): Promise<void> {
    const { context, label } = this.#owner;
    try {
      await this.#take(payload);
    } catch (cause) {
      if (this.#isOver) return;
      if (isRebalancing(cause)) throw cause;
      context.fail(classify(label, cause));
    }
  }

  /** A batch without records: marks of transactions, or what compaction has left. */
  passed({ topic, partition: number, lastOffset }: Passed): void {
    const { find, check, stored } = this.#owner;
    const partition = find(topic, number);
    const to = Number(lastOffset) + 1;
    if (partition?.isOpen !== true || to <= (partition.next ?? 0)) return;
    if (partition.isLate) {
      // It may have been fetched before the partition went back, and then lies behind records that are still to come.
      partition.isLate = false;
      return check(partition);
    }
    partition.pass(to);
    stored();
  }

  get #isOver(): boolean {
    return this.#owner.gate.isEnded;
  }

  async #take(payload: Fetched): Promise<void> {
    const { batch } = payload;
    const { find, check } = this.#owner;
    const partition = find(batch.topic, batch.partition);
    if (partition === undefined) return;
    await this.#settled(partition, payload);
    // What it has fetched for another assignment is left alone.
    if (this.#isOver || !partition.isOpen) return;
    // Of each partition kafkajs fetches one batch at a time: nothing from before this one is left.
    partition.isLate = false;
    // kafkajs went on from somewhere else: after a block was refused, or after it had found its offset out of range.
    if (Number(batch.fetchedOffset) !== partition.next) return check(partition);
    await this.#takeMessages(partition, payload);
  }

  async #takeMessages(partition: PartitionState, payload: Fetched): Promise<void> {
    const { messages } = payload.batch;
    let from: number | undefined = partition.next;
    for (let index = 0; index < messages.length && from !== undefined; ) {
      const written = this.#writer.write(messages, index);
      from = await this.#storeWritten(partition, from, written, payload);
      index = written.nextIndex;
    }
  }

  /** Returns where the partition goes on; undefined when the rest is to be fetched again. */
  async #storeWritten(
    partition: PartitionState,
    from: number,
    { nextIndex, count, droppedCount, refused }: Written,
    payload: Fetched,
  ): Promise<number | undefined> {
    const { context } = this.#owner;
    const { channel } = partition;
    const last = payload.batch.messages[nextIndex - 1]?.offset ?? "";
    const to = endOf(payload.batch, nextIndex);
    // The refused message comes behind the block, and is set aside before the position passes it.
    const blockTo = refused === undefined ? to : Number(last);
    const block: Hand = (position) => context.storeBlock(this.#writer.block(channel, position));
    if (count > 0 && !(await this.#store(partition, { from, to: blockTo }, payload, block)))
      return undefined;
    const at = count > 0 ? blockTo : from;
    if (refused !== undefined && !(await this.#setAside(partition, at, refused, payload)))
      return undefined;
    const position: Hand = (bytes) => context.storePosition(channel, bytes);
    if (at < to && !(await this.#store(partition, { from: at, to }, payload, position)))
      return undefined;
    if (droppedCount > 0) context.dropped(droppedCount, "tombstone");
    payload.resolveOffset(last);
    return to;
  }

  /** False when the block before it was not stored: then both are fetched again. */
  async #setAside(
    partition: PartitionState,
    from: number,
    { bytes, error }: Refused,
    payload: Fetched,
  ): Promise<boolean> {
    await this.#settled(partition, payload);
    if (partition.next !== from) return false;
    await this.#beating(this.#owner.context.setAside(bytes, error), payload);
    return !this.#isOver && partition.isOpen;
  }

  /**
   * Hands over what lies between two offsets. False when it was not taken, or what lies before it was refused after all:
   * then both are fetched again.
   */
  async #store(
    partition: PartitionState,
    { from, to }: Span,
    payload: Fetched,
    hand: Hand,
  ): Promise<boolean> {
    const { gate } = this.#owner;
    const position = encodePosition({ next: to, topicId: partition.topicId });
    for (;;) {
      await this.#settled(partition, payload);
      if (!(await this.#hasRoom(payload))) return false;
      if (!partition.isOpen || partition.next !== from) return false;
      const outcome = partition.handOver(to, this.#outcomeOf(hand(position)));
      // A refusal raises the pressure before `storeBlock` returns, and is told after it: only then one has to wait.
      const first = gate.isPaused
        ? await this.#beating(Promise.race([outcome, gate.resumed]), payload)
        : undefined;
      if (first === "failed") return false;
      if (first !== "refused") {
        this.#comeBackFor(partition, outcome);
        return true;
      }
    }
  }

  /** kafkajs goes on behind the block: should it be refused after all, it has to come back. */
  #comeBackFor(partition: PartitionState, outcome: Promise<Outcome>): void {
    void outcome.then((result) =>
      result === "refused" && partition.isOpen ? this.#goBack(partition) : undefined,
    );
  }

  #goBack(partition: PartitionState): void {
    partition.isLate = true;
    this.#owner.check(partition);
  }

  async #outcomeOf(stored: Promise<unknown>): Promise<Outcome> {
    const { context, stored: wasStored } = this.#owner;
    try {
      await stored;
    } catch (cause) {
      const code = codeOf(cause);
      if (code === "BUSY" || code === "LOG_FULL") return "refused";
      // A closed incarnation fails no more.
      if (!this.#isOver) context.fail(toError(cause));
      return "failed";
    }
    // After the partition has heard of it.
    queueMicrotask(wasStored);
    return "stored";
  }

  /** Waits for room. False when none came in time, or nothing is handed over any more. */
  async #hasRoom(payload: Fetched): Promise<boolean> {
    const { gate, context, leave } = this.#owner;
    const { clock } = context;
    const deadlineMs = clock.monotonicMs() + HOLD_MS_MAX;
    while (gate.isPaused) {
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) {
        leave();
        return false;
      }
      await this.#beating(this.#atMost(gate.resumed, leftMs), payload);
    }
    return !gate.isEnded;
  }

  async #settled({ settled }: PartitionState, payload: Fetched): Promise<void> {
    if (settled !== undefined) await this.#beating(settled, payload);
  }

  /** Waits for `work`, with heartbeats meanwhile. Rejects as they do. */
  async #beating<T>(work: Promise<T>, { heartbeat }: Fetched): Promise<T> {
    const { heartbeatMs } = this.#owner.context.options;
    const waiting = Symbol("waiting");
    for (;;) {
      const first = await this.#atMost(work, heartbeatMs, waiting);
      if (first !== waiting) return first;
      // kafkajs sends none before its interval is over.
      if (!this.#isOver) await heartbeat();
    }
  }

  /** What `work` resolves with, or `late` when that takes longer. */
  async #atMost<T, L = undefined>(work: Promise<T>, ms: number, late?: L): Promise<T | L> {
    const { clock } = this.#owner.context;
    let cancel = (): void => undefined;
    const over = new Promise<L>((resolve) => {
      // Decode boundary: left out, it is undefined, and so is its type.
      cancel = clock.after(ms, () => resolve(late as L));
    });
    try {
      return await Promise.race([work, over]);
    } finally {
      cancel();
    }
  }
}

/** Offset behind the first `count` messages. Behind the last one there may be marks of transactions. */
function endOf(batch: Fetched["batch"], count: number): number {
  const { messages } = batch;
  return Number(count === messages.length ? batch.lastOffset() : messages[count - 1]?.offset) + 1;
}
