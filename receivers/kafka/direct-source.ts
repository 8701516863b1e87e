/**
 * A pipeline's view of topics that it reads directly: ranges are planned from what the brokers have, and read from them.
 */
import type { Offsets } from "../../src/contract/log.ts";
import type { StoredBlock } from "../../src/contract/record.ts";
import type { BatchBounds, Source, SourceContext, SourceItem } from "../../src/contract/source.ts";
import { HoldfastError } from "../../src/errors.ts";
import { BLOCK_BYTES, BlockWriter } from "./block-writer.ts";
import type { DirectCluster } from "./direct-cluster.ts";
import { type Piece, READ_TRIES, readRange, resetError } from "./direct-reader.ts";
import { MeanBytes, sharesOf } from "./direct-shares.ts";
import type { KafkaDirectOptions } from "./options.ts";
import { type KeyedPartition, parseKey } from "./partition-key.ts";

/** Before a partition that ends too early is asked again. */
const PAUSE_MS = 1_000;
/** Every record is read whatever its length: brokers have a limit of their own. */
const MESSAGE_BYTES_MAX = Number.MAX_SAFE_INTEGER;
/** A writer that has grown further, by a record far longer than a block, is not used again. */
const IDLE_BYTES_MAX = 8 * BLOCK_BYTES;
const NO_POSITION = new Uint8Array(0);

type Ends = ReadonlyMap<string, number>;

/** See the file's head. One incarnation's. */
export class KafkaSource implements Source {
  readonly name: string;
  readonly #context: SourceContext<KafkaDirectOptions>;
  readonly #cluster: DirectCluster;
  readonly #label: string;
  readonly #mean = new MeanBytes();
  readonly #idleWriters: BlockWriter[] = [];
  #known: ReadonlyMap<string, KeyedPartition> = new Map();
  /** Where each began when it was found. */
  #begins: ReadonlyMap<string, number> = new Map();
  #ends: Ends = new Map();
  /** Ends of partitions that are no more, with offsets that were not planned when they went: what is left is planned as a gap. */
  readonly #gone = new Map<string, number>();
  /** What was said to be there: somebody may wait until it is read. */
  #told: Offsets = {};
  #refreshedMs = -Infinity;
  #turn = 0;

  private constructor(context: SourceContext<KafkaDirectOptions>, cluster: DirectCluster) {
    this.name = context.name;
    this.#context = context;
    this.#cluster = cluster;
    this.#label = `${context.name}: ${context.options.brokers.join(", ")}`;
  }

  /** Over a cluster that is connected. */
  static async open(
    context: SourceContext<KafkaDirectOptions>,
    cluster: DirectCluster,
  ): Promise<KafkaSource> {
    const source = new KafkaSource(context, cluster);
    await source.#askEnds();
    return source;
  }

  async latest(signal: AbortSignal): Promise<Offsets> {
    const ends = await abortable(this.#askEnds(), signal);
    // One without records has nothing to reach, and begins at its oldest offset in any case.
    this.#told = Object.fromEntries([...ends].filter(([key, end]) => end > this.#beginOf(key)));
    return this.#told;
  }

  async oldest(signal: AbortSignal): Promise<Offsets> {
    await abortable(this.#refreshIfDue(), signal);
    return Object.fromEntries(this.#begins);
  }

  async bounded(from: Offsets, bounds: BatchBounds, signal: AbortSignal): Promise<Offsets> {
    const ends = await abortable(this.#endsFor(from, this.#told), signal);
    for (const [key, end] of this.#gone) if (this.#startOf(from, key) >= end) this.#forget(key);
    const available = new Map(
      [...ends].map(([key, end]) => [key, end - this.#startOf(from, key)] as const),
    );
    const shares = sharesOf(available, this.#mean.within(bounds), this.#turn++);
    return Object.fromEntries(
      [...shares].map(([key, share]) => [key, this.#startOf(from, key) + share]),
    );
  }

  async waitFor(from: Offsets, signal: AbortSignal): Promise<void> {
    for (;;) {
      const ends = await abortable(this.#endsFor(from), signal);
      if (this.#hasMore(from, ends)) return;
      await this.#context.clock.sleep(this.#context.options.pollMs, signal);
    }
  }

  async *read(
    range: { readonly partition: string; readonly from: number; readonly to: number },
    signal: AbortSignal,
  ): AsyncGenerator<SourceItem> {
    const partition = this.#parse(range.partition);
    const { clock, logger, options } = this.#context;
    const writer =
      this.#idleWriters.pop() ??
      new BlockWriter({
        keys: options.keys,
        tombstones: "store",
        messageBytesMax: MESSAGE_BYTES_MAX,
      });
    try {
      const pieces = readRange({
        label: `${this.#label}: ${partition.key}`,
        from: range.from,
        to: range.to,
        fetch: (offset) => {
          signal.throwIfAborted();
          const bytesMax = this.#mean.fetchBytes(range.to - offset);
          return abortable(this.#cluster.fetch(partition, offset, bytesMax), signal);
        },
        pause: () => clock.sleep(PAUSE_MS, signal),
        turn: async () => {
          await clock.yield();
          signal.throwIfAborted();
        },
        keepsTombstones: options.tombstones === "store",
        foundNothing: (offset) =>
          logger.warn(
            `${this.#label}: brokers give nothing of ${partition.key} from offset ${offset} to ${range.to}, which they say they have: taken as compacted`,
          ),
      });
      let bytes = 0;
      for await (const piece of pieces) {
        bytes += bytesOf(piece);
        yield* this.#itemsOf(piece, partition, writer);
      }
      this.#mean.add(bytes, range.to - range.from);
    } finally {
      if (writer.heldBytes <= IDLE_BYTES_MAX) this.#idleWriters.push(writer);
    }
  }

  /** Brokers keep records for as long as they are told to. */
  async release(): Promise<void> {}

  lag(ends: Offsets): number {
    let count = 0;
    for (const [key, end] of this.#ends) count += Math.max(0, end - this.#startOf(ends, key));
    return count;
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  // Planning

  #beginOf(key: string): number {
    return this.#begins.get(key) ?? 0;
  }

  #startOf(from: Offsets, key: string): number {
    return from[key] ?? this.#beginOf(key);
  }

  /**
   * Ends that none of these offsets lies behind; nor of those that were told, when nothing else is left.
   *
   * @throws KAFKA_TOPIC_RESET
   */
  async #endsFor(from: Offsets, told: Offsets = {}): Promise<Ends> {
    for (let tries = 1; ; tries++) {
      const ends = await this.#askEnds();
      const wanted = this.#hasMore(from, ends) ? from : furthest(from, told);
      const early = [...ends].find(([key, end]) => end < (wanted[key] ?? 0));
      if (early === undefined) return ends;
      const [key, end] = early;
      const planned = wanted[key] ?? 0;
      if (tries === READ_TRIES)
        throw resetError(`${this.#label}: ${key}`, {
          planned,
          end,
          next: this.#startOf(from, key),
        });
      await this.#context.clock.sleep(PAUSE_MS, this.#context.signal);
    }
  }

  #hasMore(from: Offsets, ends: Ends): boolean {
    return [...ends].some(([key, end]) => end > this.#startOf(from, key));
  }

  async #askEnds(): Promise<Ends> {
    await this.#refreshIfDue();
    let ends = await this.#cluster.offsets([...this.#known.values()], "end");
    if (ends.size < this.#known.size) {
      // A topic was made again.
      await this.#refresh();
      ends = await this.#cluster.offsets([...this.#known.values()], "end");
    }
    this.#ends = new Map([...this.#gone, ...ends]);
    return this.#ends;
  }

  #forget(key: string): void {
    this.#gone.delete(key);
    this.#begins = new Map([...this.#begins].filter(([each]) => each !== key));
  }

  async #refreshIfDue(): Promise<void> {
    const { clock, options } = this.#context;
    if (clock.monotonicMs() - this.#refreshedMs >= options.refreshMs) await this.#refresh();
  }

  async #refresh(): Promise<void> {
    const { clock, logger } = this.#context;
    const found = await this.#cluster.partitions();
    const added = found.filter(({ key }) => !this.#begins.has(key));
    const begins = await this.#cluster.offsets(added, "begin");
    // One whose topic has just changed again is found the next time.
    const kept = found.filter(({ key }) => this.#begins.has(key) || begins.has(key));
    const known = new Map(kept.map((partition) => [partition.key, partition]));
    const gone = [...this.#known.keys()].filter((key) => !known.has(key));
    if (gone.length > 0)
      logger.warn(`${this.#label}: ${gone.length} partitions are no more, of topics made again`, {
        partitions: gone,
      });
    for (const key of gone) this.#gone.set(key, this.#ends.get(key) ?? this.#beginOf(key));
    if (this.#known.size > 0 && begins.size > 0)
      logger.info(`${this.#label}: ${begins.size} partitions are new`, {
        partitions: [...begins.keys()],
      });
    const keys = [...known.keys(), ...this.#gone.keys()];
    this.#begins = new Map(keys.map((key) => [key, this.#begins.get(key) ?? begins.get(key) ?? 0]));
    this.#known = known;
    this.#refreshedMs = clock.monotonicMs();
  }

  // Reading

  #parse(key: string): KeyedPartition {
    const partition = parseKey(key);
    if (partition !== undefined) return partition;
    throw new HoldfastError(
      "SOURCE_CHANGED",
      `${this.#context.pipeline} has an open batch of ${this.name} with partition ${key}, which is none of Kafka's`,
      { fix: `holdfast pipelines forget ${this.#context.pipeline}` },
    );
  }

  *#itemsOf(piece: Piece, partition: KeyedPartition, writer: BlockWriter): Generator<SourceItem> {
    if (piece.kind === "gap") {
      if (piece.reason === "partition-gone")
        this.#context.logger.warn(
          `${this.#label}: offsets ${piece.from} to ${piece.to} were planned of ${partition.key}, which is no more`,
        );
      yield piece;
      return;
    }
    const { records } = piece;
    for (let index = 0; index < records.length; ) {
      const firstOffset = records[index]?.offset ?? 0;
      const { nextIndex } = writer.write(records, index);
      yield { kind: "records", block: this.#stored(writer, partition, firstOffset) };
      index = nextIndex;
    }
  }

  #stored(writer: BlockWriter, partition: KeyedPartition, firstOffset: number): StoredBlock {
    const block = writer.block(partition.key, NO_POSITION);
    const readMs = this.#context.clock.wallMs();
    return {
      ...block,
      receiver: this.name,
      partition: partition.partition,
      firstOffset,
      receivedAtMs(recordIndex) {
        const timestampMs = block.timestampsMs?.[recordIndex] ?? Number.NaN;
        return Number.isNaN(timestampMs) ? readMs : timestampMs;
      },
    };
  }
}

/** The further offset of each. */
function furthest(some: Offsets, others: Offsets): Offsets {
  const both = [...Object.entries(some), ...Object.entries(others)];
  return Object.fromEntries(both.toSorted(([, a], [, b]) => a - b));
}

/** Of its values. */
function bytesOf(piece: Piece): number {
  if (piece.kind === "gap") return 0;
  return piece.records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
}

/** The same, or the signal's reason as soon as it aborts. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
    // It may fail when nobody waits any more.
    work.catch(() => undefined);
  }
}
