/**
 * A partition as a broker keeps it, made of steps, with answers in pieces of any size. What each offset is follows from the
 * steps alone, not from what a reader makes of them.
 */
import fc from "fast-check";
import type { FetchResult } from "../../../receivers/kafka/direct-reader.ts";
import type { AbortedTransaction } from "../../../receivers/kafka/fetch.ts";
import type { KafkaRecord, RecordBatch, Span } from "../../../receivers/kafka/record-batches.ts";

/** What happens to a partition, in order. */
export type Step =
  /** A batch; compaction has taken the records where `kept` is false. */
  | { readonly kind: "batch"; readonly producer: number; readonly kept: readonly boolean[] }
  /** The transaction of a producer ends, if there is one. */
  | { readonly kind: "end"; readonly producer: number; readonly isAborted: boolean }
  /** Compaction has taken whole batches. */
  | { readonly kind: "vanished"; readonly count: number };

/** Producer 0 has no transactions. */
const producer: fc.Arbitrary<number> = fc.nat(3);

/** Any steps. */
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("batch" as const),
        producer,
        kept: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("end" as const),
        producer,
        isAborted: fc.boolean(),
      }),
    },
    fc.record({ kind: fc.constant("vanished" as const), count: fc.integer({ min: 1, max: 5 }) }),
  ),
  { maxLength: 25 },
);

interface Transaction extends AbortedTransaction {
  readonly lastOffset: number;
}

/** See the file's head. */
export class ScriptedLog {
  readonly batches: RecordBatch[] = [];
  /** Offsets of records that a reader is to get. */
  readonly records: Set<number> = new Set();
  readonly #aborted: Transaction[] = [];
  readonly #open = new Map<number, { readonly firstOffset: number; readonly offsets: number[] }>();
  /** Offset behind everything. */
  end = 0;
  /** Offset of the first record that is still there. */
  begin = 0;

  constructor(script: readonly Step[]) {
    for (const step of script) this.#add(step);
    // What is read ends before the first open transaction.
    for (const id of [1, 2, 3]) this.#add({ kind: "end", producer: id, isAborted: id === 2 });
  }

  /** At most `batchesMax` batches from an offset on. */
  fetch(offset: number, batchesMax: number): FetchResult {
    const { begin, end } = this;
    if (offset < begin || offset > end) return { kind: "outside", begin, end };
    const batches = this.batches
      .filter(({ endOffset }) => endOffset > offset)
      .slice(0, Math.max(1, batchesMax));
    const last = batches.at(-1)?.endOffset ?? offset;
    const aborted = this.#aborted.filter(
      ({ firstOffset, lastOffset }) => firstOffset < last && lastOffset >= offset,
    );
    return { kind: "fetched", begin, end, batches, aborted: aborted.toReversed() };
  }

  #add(step: Step): void {
    if (step.kind === "batch") this.#addBatch(step.producer, step.kept);
    else if (step.kind === "end") this.#endTransaction(step.producer, step.isAborted);
    else this.end += step.count;
  }

  #addBatch(id: number, kept: readonly boolean[]): void {
    const firstOffset = this.end;
    const offsets = kept.flatMap((isKept, i) => (isKept ? [firstOffset + i] : []));
    this.end += kept.length;
    if (id === 0) for (const offset of offsets) this.records.add(offset);
    else {
      const open = this.#open.get(id) ?? { firstOffset, offsets: [] };
      open.offsets.push(...offsets);
      this.#open.set(id, open);
    }
    this.#push(id, { firstOffset, records: offsets.map(recordAt), isControl: false });
  }

  #endTransaction(id: number, isAborted: boolean): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    const firstOffset = this.end++;
    if (isAborted)
      this.#aborted.push({
        producerId: BigInt(id),
        firstOffset: open.firstOffset,
        lastOffset: firstOffset,
      });
    else for (const offset of open.offsets) this.records.add(offset);
    const mark = { ...recordAt(firstOffset), key: Buffer.of(0, 0, 0, isAborted ? 0 : 1) };
    this.#push(id, { firstOffset, records: [mark], isControl: true });
  }

  #push(
    id: number,
    batch: {
      readonly firstOffset: number;
      readonly records: readonly KafkaRecord[];
      readonly isControl: boolean;
    },
  ): void {
    this.batches.push({
      firstOffset: batch.firstOffset,
      endOffset: this.end,
      producerId: BigInt(id === 0 ? -1 : id),
      isTransactional: id !== 0,
      isControl: batch.isControl,
      records: (span) => Promise.resolve(piecesOf(batch.records, span)),
    });
  }
}

/** As a batch gives them, two at a time. */
function* piecesOf(
  records: readonly KafkaRecord[],
  { from, to }: Span,
): Generator<readonly KafkaRecord[]> {
  for (let i = 0; i < records.length; i += 2)
    yield records.slice(i, i + 2).filter(({ offset }) => offset >= from && offset < to);
}

/** Its key looks like the mark of an aborted transaction, and is none. */
function recordAt(offset: number): KafkaRecord {
  return {
    offset,
    timestamp: 1_700_000_000_000 + offset,
    key: Buffer.of(0, 0, 0, 0),
    value: offset % 5 === 4 ? null : Buffer.from(`value ${offset}`),
  };
}
