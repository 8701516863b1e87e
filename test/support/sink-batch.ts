/**
 * Batches for sinks, and the little of an engine that a sink sees: what is planned, committed and set aside.
 */
import { createPool } from "../../src/pool/pool.ts";
import type { Ends } from "../../src/contract/log.ts";
import type { Pool } from "../../src/contract/pool.ts";
import { valueOf } from "../../src/contract/record.ts";
import type {
  Mode,
  RejectedRow,
  RowChunk,
  Sink,
  SinkBatch,
  SinkContext,
  SinkSession,
  WriteResult,
} from "../../src/contract/sink.ts";
import { codeOf } from "../../src/errors.ts";
import type { Files } from "../../src/host/files.ts";
import type { HttpClient } from "../../src/host/http-client.ts";
import { realRandom } from "../../src/host/random.ts";
import { realHttpClient } from "../../src/host/real-http-client.ts";
import { type BlockInput, storedBlock } from "./blocks.ts";
import { silentLogger } from "./logger.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** A chunk in few words; `firstOffset` of the block comes from the batch. */
export interface ChunkInput {
  /** Records of the block. */
  readonly texts: readonly string[];
  /** Rows that the operators made of the records; absent in a stream that only forwards bytes. */
  readonly rows?: readonly unknown[];
  /** Record of each row. @defaultValue one row per record */
  readonly recordIndexes?: readonly number[];
  /** @defaultValue original without rows, changed with rows */
  readonly bytes?: "original" | "changed";
  readonly block?: BlockInput;
}

/** A set-aside row as tests look at it. */
export interface SetAside {
  readonly offset: number;
  readonly code: string;
  readonly message: string;
  readonly body: string;
}

/** A chunk whose block starts at `firstOffset`. */
export function rowChunk(input: ChunkInput, firstOffset: number): RowChunk<unknown> {
  const { texts, rows, recordIndexes = texts.map((_, index) => index) } = input;
  return {
    count: recordIndexes.length,
    rows,
    bytes: input.bytes ?? (rows === undefined ? "original" : "changed"),
    block: storedBlock(texts, { ...input.block, firstOffset }),
    recordIndexes: Uint32Array.from(recordIndexes),
  };
}

/** JSON rows, decoded and unchanged. */
export function jsonChunk(rows: readonly unknown[], block: BlockInput = {}): ChunkInput {
  return { texts: rows.map((row) => JSON.stringify(row)), rows, bytes: "original", block };
}

/** Rows that a `map` made, from records that say something else. */
export function mappedChunk(rows: readonly unknown[], block: BlockInput = {}): ChunkInput {
  return { texts: rows.map((_, index) => `record ${index}`), rows, block };
}

/** A pipeline with one sink, as the sink sees it. Outlives the sink's sessions. */
export class SinkPipeline {
  writerId = "0123456789abcdef0123456789abcdef";
  epoch = 1;
  mode: Mode = "append";
  lastBatchId = 0;
  lastToken: Uint8Array | undefined;
  lastEnds: Ends = { log: { "0": 0 } };
  readonly clock: VirtualClock;
  readonly files: Files;
  httpClient: HttpClient = realHttpClient;
  readonly setAside: SetAside[] = [];
  readonly failures: unknown[] = [];
  readonly notes: string[] = [];
  readonly warnings: string[] = [];
  /** What sinks have made, oldest first. */
  readonly pools: Pool<unknown>[] = [];
  readonly abort: AbortController = new AbortController();

  constructor(files: Files, clock: VirtualClock = new VirtualClock()) {
    this.files = files;
    this.clock = clock;
  }

  /** How the endpoints of all pools are. */
  endpoints(): readonly string[] {
    return this.pools.flatMap((pool) => pool.stats().endpoints.map(({ status }) => status));
  }

  get nextOffset(): number {
    return this.lastEnds["log"]?.["0"] ?? 0;
  }

  open(sink: Sink<never>): Promise<SinkSession<never>> {
    return sink.open(this.context(sink.name));
  }

  context(name: string): SinkContext {
    const { writerId, epoch, mode, clock, files, httpClient } = this;
    const { lastBatchId, lastToken, lastEnds } = this;
    return {
      name,
      writerId,
      epoch,
      mode,
      clock,
      files,
      httpClient,
      lastBatchId,
      lastToken,
      lastEnds,
      pipeline: "p",
      signal: this.abort.signal,
      random: realRandom,
      pool: (options) => {
        const pool = createPool({ ...options, clock, random: realRandom });
        this.pools.push(pool);
        return pool;
      },
      logger: { ...silentLogger, warn: (message) => void this.warnings.push(message) },
      reject: (rows) => Promise.resolve(this.#setAside(rows)),
      fail: (cause) => void this.failures.push(cause),
      note: (message) => void this.notes.push(message),
    };
  }

  /** The next batch: its chunks follow each other in the log. */
  batch(
    chunks: readonly ChunkInput[],
    changes: Partial<SinkBatch<unknown>> = {},
  ): SinkBatch<never> {
    const from = this.nextOffset;
    const to = from + chunks.reduce((sum, { texts }) => sum + texts.length, 0);
    const batch: SinkBatch<unknown> = {
      writerId: this.writerId,
      pipeline: "p",
      sink: "out",
      batchId: this.lastBatchId + 1,
      epoch: this.epoch,
      ranges: { log: { "0": [from, to] } },
      batchTimeMs: 0,
      mode: this.mode,
      chunks: iterate(chunks, from),
      ...changes,
    };
    // A test's rows are what its sink takes, or are meant to be refused.
    return batch as unknown as SinkBatch<never>;
  }

  /** Makes a batch durable in the ledger. */
  commit(batch: SinkBatch<never>, result: WriteResult): void {
    this.lastBatchId = batch.batchId;
    this.lastToken =
      result.kind === "written" && result.token !== undefined && result.token.length > 0
        ? result.token
        : undefined;
    const ends = Object.entries(batch.ranges["log"] ?? {}).map(
      ([partition, [, to]]) => [partition, to] as const,
    );
    this.lastEnds = { log: Object.fromEntries(ends) };
  }

  /** Write, commit, committed: all of one batch. */
  async run(session: SinkSession<never>, chunks: readonly ChunkInput[]): Promise<WriteResult> {
    const batch = this.batch(chunks);
    const result = await session.write(batch, this.abort.signal);
    if (result.kind === "back-off") return result;
    this.commit(batch, result);
    await session.committed?.(batch.batchId);
    return result;
  }

  #setAside(rows: readonly RejectedRow[]): void {
    for (const { block, recordIndex, cause } of rows) {
      const body = Buffer.from(valueOf(block, recordIndex)).toString();
      this.setAside.push({
        offset: block.firstOffset + recordIndex,
        code: codeOf(cause),
        message: cause.message,
        body,
      });
    }
  }
}

/** Chunks as the engine hands them over: a chunk's bytes are gone when the next one is asked for. */
async function* iterate(
  chunks: readonly ChunkInput[],
  from: number,
): AsyncGenerator<RowChunk<unknown>> {
  let firstOffset = from;
  for (const input of chunks) {
    const chunk = rowChunk(input, firstOffset);
    firstOffset += input.texts.length;
    yield chunk;
    chunk.block.values.fill(0);
    chunk.block.valueEnds.fill(0);
    chunk.recordIndexes.fill(0);
  }
}

/** Chunks, then a failure: a stage before the sink stopped the batch. */
export async function* stopped(
  chunks: AsyncIterable<RowChunk<never>>,
  cause: Error,
): AsyncGenerator<RowChunk<never>> {
  yield* chunks;
  throw cause;
}
