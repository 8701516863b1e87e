/**
 * One incarnation of a kafka receiver: a member of a consumer group.
 *
 *     join -> each partition is paused, and asked about -> seek -> fetched -> blocks -> durable -> committed
 *
 * Where a partition starts is decided here and not by kafkajs: see `start.ts`.
 */
import type { EachBatchPayload, Offsets, TopicPartitionOffset } from "kafkajs";
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { HoldfastError } from "../../src/errors.ts";
import { atMost, type Cancel } from "../../src/host/clock.ts";
import { Batches, type BatchOwner } from "./batches.ts";
import type { KafkaClient } from "./client.ts";
import { Commits } from "./commits.ts";
import { classify } from "./failures.ts";
import { Gate } from "./gate.ts";
import { byTopic, keyOf, topicIds } from "./lookup.ts";
import type { KafkaOptions } from "./options.ts";
import { flightsOf, PartitionState } from "./partition.ts";
import { decodePosition, type Position } from "./position.ts";
import { type PartitionFacts, type Start, startAnew, startOf } from "./start.ts";

/** How often the ids of the topics are looked at: one that was made again while nobody noticed is told of by then. */
const TOPIC_CHECK_MS = 30_000;
/** A new leader may not know the end of a partition yet: it is asked so often before that counts. */
const TRUNCATED_TRIES = 5;
const TRUNCATED_WAIT_MS = 1_000;
/** How long a member that has to join again waits for its blocks. */
const SETTLE_MS_MAX = 5_000;
/** For leaving the group and the last answers, when it stops. */
const LEAVE_MS_MAX = 3_000;

type Reset = Exclude<Start, { kind: "start" }>;

/** See the file's head. */
export class KafkaSession implements ReceiverSession, BatchOwner {
  readonly context: ReceiverContext<KafkaOptions>;
  readonly gate: Gate = new Gate();
  readonly label: string;
  readonly #client: KafkaClient;
  readonly #known = new Map<string, PartitionState>();
  readonly #commits: Commits;
  readonly #batches: Batches;
  /** Counts joins: what was asked for an older assignment changes nothing. */
  #assignment = 0;
  /** kafkajs was told to fetch nothing, because the log has no room. */
  #isLeft = false;
  /** Resolves when it has joined for the first time, or never will. */
  #firstJoin: Promise<void> = Promise.resolve();
  /** Pending while it is a member; rejects with what ended that. */
  readonly #membership: Promise<void>;
  #end: () => void = () => undefined;
  #break: (cause: Error) => void = () => undefined;
  #topicTimer: Cancel | undefined;
  #closing: Promise<void> | undefined;

  constructor(context: ReceiverContext<KafkaOptions>, client: KafkaClient) {
    this.context = context;
    this.#client = client;
    this.label = `${context.name}: ${context.options.brokers.join(", ")}`;
    this.#commits = new Commits({
      owner: this.label,
      clock: context.clock,
      intervalMs: context.options.commitIntervalMs,
      partitions: () => this.#known.values(),
      committed: context.alive,
      fail: context.fail,
    });
    // Until the first batch; its own way does without kafkajs's retries, which may be late for an assignment.
    this.#commits.send = (offsets) => this.#client.consumer.commitOffsets(flat(offsets));
    this.#batches = new Batches(this);
    this.#membership = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#break = reject;
    });
    // It may break before anybody asks.
    this.#membership.catch(() => undefined);
    // It has failed: `close` comes later, and by then more might have been handed over.
    context.signal.addEventListener("abort", () => this.gate.end(), { once: true });
  }

  /** Rejects when there is nothing to go on with: even a decision to resume has to open another one. */
  run(): Promise<void> {
    return this.#membership;
  }

  /** Joins the group, and goes on by itself until {@link run} rejects or it is closed. */
  begin(): void {
    const { consumer } = this.#client;
    const { events } = consumer;
    const { guard, alive } = this.context;
    consumer.on(
      events.GROUP_JOIN,
      guard(({ payload }) => this.#assigned(payload.memberAssignment)),
    );
    consumer.on(
      events.END_BATCH_PROCESS,
      guard(({ payload }) => {
        if (payload.batchSize === 0) this.#batches.passed(payload);
      }),
    );
    consumer.on(
      events.CRASH,
      guard(({ payload }) => this.#crashed(payload.error)),
    );
    // kafkajs would ask again and again; whoever connects anew knows sooner.
    consumer.on(
      events.REQUEST_TIMEOUT,
      guard(({ payload: { broker, apiName, pendingDuration } }) =>
        this.#crashed(
          new HoldfastError(
            "CONNECTION_STALLED",
            `${this.label}: ${broker} has not answered ${apiName} for ${pendingDuration ?? 0} ms`,
          ),
        ),
      ),
    );
    consumer.on(events.HEARTBEAT, alive);
    consumer.on(events.FETCH, alive);
    this.#firstJoin = consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 1,
        eachBatch: (payload) => this.#take(payload),
      })
      .catch((cause: unknown) => this.#crashed(cause));
    this.#watchTopics();
  }

  pause(): void {
    this.gate.pause();
  }

  resume(): void {
    this.gate.resume();
    if (!this.#isLeft) return;
    this.#isLeft = false;
    this.#fetch([...this.#known.values()].filter(({ isOpen }) => isOpen));
  }

  close(signal: AbortSignal): Promise<void> {
    this.#closing ??= this.#close(signal);
    return this.#closing;
  }

  readonly find = (topic: string, partition: number): PartitionState | undefined =>
    this.#known.get(keyOf({ topic, partition }));

  readonly check = (partition: PartitionState): void => this.#check([partition]);

  /** The offsets of what was handed over are committed before another member may get the partitions. Never rejects. */
  async beforeJoin(): Promise<void> {
    const partitions = [...this.#known.values()];
    for (const partition of partitions) if (partition.isOpen) partition.phase = "leaving";
    await atMost(this.context.clock, SETTLE_MS_MAX, Promise.all(flightsOf(partitions)));
    await this.#commits.flush();
  }

  /** kafkajs has lost its way in one of them, and has told the group that it has no offset there. */
  checkAll(): void {
    const open = [...this.#known.values()].filter(({ isOpen }) => isOpen);
    for (const partition of open) {
      partition.isGroupInDoubt = true;
      partition.isLate = true;
    }
    this.#check(open);
  }

  readonly stored = (): void => this.#commits.due();

  readonly leave = (): void => {
    this.#isLeft = true;
    this.#hold([...this.#known.values()].filter(({ phase }) => phase !== "foreign"));
  };

  #take(payload: EachBatchPayload): Promise<void> {
    this.#commits.send = (offsets) => payload.commitOffsetsIfNecessary(offsets);
    return this.#batches.take(payload);
  }

  /** Called before anything of the new assignment is fetched. */
  #assigned(assignment: Readonly<Record<string, readonly number[]>>): void {
    this.#assignment++;
    for (const partition of this.#known.values()) partition.phase = "foreign";
    const ours = Object.entries(assignment).flatMap(([topic, numbers]) =>
      numbers.map((partition) => this.#partition(topic, partition)),
    );
    this.context.logger.debug(`${ours.length} partitions are assigned`, {
      partitions: ours.map(({ channel }) => channel),
    });
    this.#check(ours);
  }

  #partition(topic: string, partition: number): PartitionState {
    const key = keyOf({ topic, partition });
    const known = this.#known.get(key) ?? new PartitionState({ topic, partition });
    this.#known.set(key, known);
    return known;
  }

  /** Nothing of these partitions is fetched until it is known where they go on. */
  #check(partitions: readonly PartitionState[]): void {
    if (partitions.length === 0) return;
    for (const partition of partitions) partition.phase = "checking";
    this.#hold(partitions);
    const assignment = this.#assignment;
    this.#ask(partitions, () => this.#assignment !== assignment || this.gate.isEnded).catch(
      (cause: unknown) => this.#crashed(cause),
    );
  }

  async #ask(partitions: readonly PartitionState[], isStale: () => boolean): Promise<void> {
    // What is on the way decides how far the log is.
    await Promise.all(flightsOf(partitions));
    for (let waiting = partitions, tries = 1; waiting.length > 0 && !isStale(); tries++) {
      const facts = await this.#client.lookUp(waiting);
      if (isStale()) return;
      waiting = waiting.filter((each) => !this.#start(each, facts.get(each.channel), tries));
      if (waiting.length > 0)
        await this.context.clock.sleep(TRUNCATED_WAIT_MS, this.context.signal);
    }
  }

  /** False when it is to be asked again. */
  #start(partition: PartitionState, facts: PartitionFacts | undefined, tries: number): boolean {
    const { options, logger, dropped } = this.context;
    const { channel } = partition;
    if (facts === undefined)
      throw new HoldfastError("KAFKA_TOPIC_UNKNOWN", `${this.label}: ${channel} is not there`, {
        fix: "create the topic, or correct topics",
      });
    const held = this.#held(partition);
    let start = startOf(facts, held, options.from);
    if (start.kind === "truncated" && tries < TRUNCATED_TRIES) return false;
    if (start.kind !== "start") {
      const error = this.#resetOf(channel, start);
      if (options.onTopicReset === "park") throw error;
      logger.warn(`${error.message}; it is taken from its beginning`, { code: error.code });
      start = startAnew(facts);
    }
    if (start.expiredCount > 0) {
      logger.warn(
        `${channel}: ${start.expiredCount} offsets before ${facts.low} are no longer at the broker`,
      );
      dropped(start.expiredCount, "expired");
    }
    this.#open(partition, facts, start.offset);
    return true;
  }

  #open(partition: PartitionState, facts: PartitionFacts, next: number): void {
    const { topic, partition: number } = partition;
    partition.open({ next, topicId: facts.topicId, committed: facts.groupOffset });
    this.#onConsumer(() =>
      this.#client.consumer.seek({ topic, partition: number, offset: String(next) }),
    );
    if (!this.#isLeft) this.#fetch([partition]);
    if (partition.isUncommitted) this.#commits.due();
  }

  #held({ next, topicId, channel }: PartitionState): Position | undefined {
    if (next !== undefined) return { next, topicId };
    const bytes = this.context.resumePosition(channel);
    return bytes === undefined ? undefined : decodePosition(channel, bytes);
  }

  #resetOf(channel: string, start: Reset): HoldfastError {
    const { next, topicId } = start.held;
    const why =
      start.kind === "recreated"
        ? `the log holds it up to offset ${next} of topic id ${topicId}, now its id is ${start.topicId}`
        : `the log holds it up to offset ${next}, now it ends at ${start.high}`;
    return new HoldfastError("KAFKA_TOPIC_RESET", `${this.label}: ${channel}: ${why}`, {
      fix: "onTopicReset: accept to take the new topic from its beginning, or a receiver with another name and group",
    });
  }

  #watchTopics(): void {
    const { clock, options } = this.context;
    this.#topicTimer = clock.after(TOPIC_CHECK_MS, () => {
      topicIds(this.#client.cluster, options.topics)
        .then((ids) => this.#compareIds(ids))
        .catch(() => {
          // A broker that does not answer is told of by what fetches from it.
        })
        .finally(() => {
          if (!this.gate.isEnded) this.#watchTopics();
        });
    });
  }

  #compareIds(ids: ReadonlyMap<string, string | undefined>): void {
    const changed = [...this.#known.values()].filter(({ isOpen, topic, topicId }) => {
      const id = ids.get(topic);
      return isOpen && id !== undefined && topicId !== undefined && id !== topicId;
    });
    for (const partition of changed) partition.isLate = true;
    this.#check(changed);
  }

  #hold(partitions: readonly PartitionState[]): void {
    this.#onConsumer(() => this.#client.consumer.pause(mutable(partitions)));
  }

  #fetch(partitions: readonly PartitionState[]): void {
    this.#onConsumer(() => this.#client.consumer.resume(mutable(partitions)));
  }

  /** A consumer that has crashed throws; the crash itself is told by its event. */
  #onConsumer(call: () => void): void {
    try {
      call();
    } catch (cause) {
      if (!this.gate.isEnded) this.#crashed(cause);
    }
  }

  #crashed(cause: unknown): void {
    if (!this.gate.isEnded) this.#break(classify(this.label, cause));
  }

  async #close(signal: AbortSignal): Promise<void> {
    this.#topicTimer?.();
    this.#commits.close();
    this.gate.end();
    this.#end();
    const forced = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const flights = flightsOf(this.#known.values());
    await Promise.race([Promise.all(flights).then(() => this.#commits.flush()), forced]);
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      cancel = this.context.clock.after(LEAVE_MS_MAX, resolve);
    });
    const deadline = Promise.race([late, forced]);
    // kafkajs cannot stop while it joins for the first time.
    await Promise.race([this.#firstJoin, deadline]);
    await this.#client.close(deadline);
    cancel();
  }
}

/** As a consumer wants them, outside of a batch. */
function flat({ topics }: Offsets): TopicPartitionOffset[] {
  return topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, offset }) => ({ topic, partition, offset })),
  );
}

function mutable(partitions: readonly PartitionState[]): { topic: string; partitions: number[] }[] {
  return byTopic(partitions).map(({ topic, partitions: numbers }) => ({
    topic,
    partitions: [...numbers],
  }));
}
