/**
 * Reads a planned range: every offset of it comes in exactly one piece, in order, however a broker cuts what it sends.
 *
 *     fetch -> batches -> without marks and aborted transactions -> runs of records without a hole between them, and gaps
 */
import type { SourceItem } from "../../src/contract/source.ts";
import { HoldfastError } from "../../src/errors.ts";
import type { Fetched } from "./fetch.ts";
import type { KafkaRecord, RecordBatch, Span } from "./record-batches.ts";

/** What a broker says to a fetch. */
export type FetchResult =
  | ({ readonly kind: "fetched" } & Fetched)
  /** The offset is none of the partition's: it has these. */
  | { readonly kind: "outside"; readonly begin: number; readonly end: number }
  /** The partition is no more: its topic was deleted, or made again. */
  | { readonly kind: "gone" };

/** A range of one partition and how to read it. */
export interface Reading {
  /** For messages: the source and the partition. */
  readonly label: string;
  readonly from: number;
  readonly to: number;
  readonly fetch: (offset: number) => Promise<FetchResult>;
  /** Waits before the same is asked again. */
  readonly pause: () => Promise<void>;
  /** Gives other work its turn; called between the pieces of a batch. */
  readonly turn: () => Promise<void>;
  readonly keepsTombstones: boolean;
  /** Hears that a broker has no records from an offset up to the end of the range, which counts as compacted from now on. */
  readonly foundNothing: (offset: number) => void;
}

/** A part of a range. Records have consecutive offsets, and are one at least. */
export type Piece = { readonly kind: "records"; readonly records: readonly KafkaRecord[] } | Gap;

type Gap = Extract<SourceItem, { readonly kind: "gap" }>;

/** A new leader may not know the end of a partition yet: it is asked so often before that counts. */
export const READ_TRIES = 5;
/**
 * A broker has nothing up to an end that it knows: so often, a second apart and each after a second, before that counts as
 * compacted. It may also have to bring the records from a remote tier, and say nothing of that.
 */
export const EMPTY_TRIES = 15;

/**
 * Reads what is there. Offsets below the begin of the partition are a gap (`dropped`), and so is a partition that is no more.
 *
 * @throws KAFKA_TOPIC_RESET when the partition ends before the range does
 */
export async function* readRange(reading: Reading): AsyncGenerator<Piece> {
  const gaps = new GapJoiner();
  for await (const piece of readPieces(reading)) yield* gaps.pass(piece);
  yield* gaps.rest();
}

async function* readPieces(reading: Reading): AsyncGenerator<Piece> {
  const { to, fetch } = reading;
  let next = reading.from;
  let tries = 0;
  let ahead: Promise<FetchResult> | undefined;
  while (next < to) {
    const result = await (ahead ?? fetch(next));
    ahead = undefined;
    const reached = reachedBy(result, next, { to, tries });
    if (reached === undefined) {
      if (++tries >= READ_TRIES && !hasNothing(result, to)) throw endsBefore(reading, next, result);
      await reading.pause();
      continue;
    }
    if (hasNothing(result, to)) reading.foundNothing(next);
    tries = 0;
    if (result.kind === "fetched" && reached < to) {
      // The next answer is on its way while this one is taken.
      ahead = fetch(reached);
      // Whoever reads no further does not hear of it.
      ahead.catch(() => undefined);
    }
    yield* piecesOf(result, reading, { from: next, to: Math.min(reached, to) });
    next = reached;
  }
}

/** Up to where a result says what there is; undefined when it says nothing new. */
function reachedBy(
  result: FetchResult,
  next: number,
  { to, tries }: { readonly to: number; readonly tries: number },
): number | undefined {
  if (result.kind === "gone") return to;
  if (result.kind === "outside")
    return result.begin > next ? Math.min(result.begin, to) : undefined;
  const end = result.batches.at(-1)?.endOffset ?? 0;
  if (end > next) return end;
  return hasNothing(result, to) && tries + 1 >= EMPTY_TRIES ? to : undefined;
}

/** It has no records, and has an end behind them. */
function hasNothing(result: FetchResult, to: number): boolean {
  return result.kind === "fetched" && result.batches.length === 0 && result.end >= to;
}

async function* piecesOf(
  result: FetchResult,
  reading: Reading,
  { from, to }: Span,
): AsyncGenerator<Piece> {
  if (result.kind === "gone") return yield { kind: "gap", from, to, reason: "partition-gone" };
  if (result.kind === "outside") return yield { kind: "gap", from, to, reason: "dropped" };
  const aborted = new AbortedFilter(result);
  const { keepsTombstones, turn } = reading;
  let next = from;
  for (const batch of result.batches) {
    const isLeftOut = (await aborted.leavesOut(batch)) || batch.isControl;
    const end = Math.min(batch.endOffset, to);
    if (end <= next) continue;
    let pieceCount = 0;
    for (const records of isLeftOut ? [] : await batch.records({ from: next, to: end })) {
      if (pieceCount++ > 0) await turn();
      for (const run of runsOf(records, keepsTombstones)) {
        yield* holeBetween(next, run.from, result.begin);
        yield run;
        next = run.to;
      }
    }
    yield* holeBetween(next, end, result.begin);
    next = end;
    if (next === to) return;
  }
  yield* holeBetween(next, to, result.begin);
}

/** Between two records: what retention has taken is lost, what never was or was compacted is not. */
function* holeBetween(from: number, to: number, begin: number): Generator<Gap> {
  const border = Math.min(Math.max(from, begin), to);
  if (border > from) yield { kind: "gap", from, to: border, reason: "dropped" };
  if (to > border) yield { kind: "gap", from: border, to, reason: "absent" };
}

/** Records of consecutive offsets, `[from, to)`. */
interface Run extends Span {
  readonly kind: "records";
  readonly records: readonly KafkaRecord[];
}

/** The records, cut where an offset is missing. */
function* runsOf(records: readonly KafkaRecord[], keepsTombstones: boolean): Generator<Run> {
  const isWanted = ({ value }: KafkaRecord): boolean => keepsTombstones || value !== null;
  let start = 0;
  for (let i = 0; i <= records.length; i++) {
    const record = records[i];
    const last = i > start ? records[i - 1] : undefined;
    const isNext = last === undefined || record?.offset === last.offset + 1;
    if (record !== undefined && isWanted(record) && isNext) continue;
    const first = records[start];
    if (last !== undefined && first !== undefined)
      yield {
        kind: "records",
        records: records.slice(start, i),
        from: first.offset,
        to: last.offset + 1,
      };
    start = record !== undefined && isWanted(record) ? i : i + 1;
  }
}

/** Leaves out what belongs to an aborted transaction: from its first offset up to its mark. */
class AbortedFilter {
  readonly #waiting: { readonly producerId: bigint; readonly firstOffset: number }[];
  readonly #open = new Set<bigint>();

  constructor({ aborted }: Fetched) {
    this.#waiting = [...aborted].toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Asked once for every batch, in order. */
  async leavesOut(batch: RecordBatch): Promise<boolean> {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || first.firstOffset >= batch.endOffset) break;
      this.#open.add(first.producerId);
      this.#waiting.shift();
    }
    if (!batch.isTransactional || !this.#open.has(batch.producerId)) return false;
    if (batch.isControl && (await isAbortMark(batch))) this.#open.delete(batch.producerId);
    return true;
  }
}

/** The last of an aborted transaction. The key of a mark is its version and its kind. */
async function isAbortMark(batch: RecordBatch): Promise<boolean> {
  const { firstOffset: from, endOffset: to } = batch;
  for (const [mark] of await batch.records({ from, to })) {
    const key = mark?.key;
    return key !== undefined && key !== null && key.length >= 4 && key.readInt16BE(2) === ABORT;
  }
  return false;
}

const ABORT = 0;

/** Holes that touch are one, when they are for the same reason. */
class GapJoiner {
  #open: Gap | undefined;

  *pass(piece: Piece): Generator<Piece> {
    const open = this.#open;
    if (piece.kind === "gap" && piece.reason === open?.reason) {
      this.#open = { ...piece, from: open.from };
      return;
    }
    yield* this.rest();
    if (piece.kind === "gap") this.#open = piece;
    else yield piece;
  }

  *rest(): Generator<Piece> {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) yield open;
  }
}

function endsBefore({ label, to }: Reading, next: number, result: FetchResult): HoldfastError {
  const end = result.kind === "gone" ? 0 : result.end;
  return resetError(label, { planned: to, end, next });
}

/** The partition ends before what was planned, or committed, of it. */
export function resetError(
  label: string,
  { planned, end, next }: { readonly planned: number; readonly end: number; readonly next: number },
): HoldfastError {
  return new HoldfastError(
    "KAFKA_TOPIC_RESET",
    `${label}: planned up to offset ${planned} and read up to ${next}, now it ends at ${end}: the cluster has lost its tail`,
    { fix: "a pipeline with another name reads what is there, from where it is told to" },
  );
}
