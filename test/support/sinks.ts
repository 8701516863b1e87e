/** Sinks for tests of the stages before them. */
import type {
  RowChunk,
  Sink,
  SinkBatch,
  SinkContext,
  SinkPosition,
  SinkSession,
  WriteResult,
} from "../../src/contract/sink.ts";
import { valueOf } from "../../src/contract/record.ts";

/** A sink that keeps what it was given, batch by batch, and can be told to fail. */
export class RecordingSink implements Sink<unknown, "append"> {
  readonly kind = "sink";
  readonly type = "recording";
  readonly modes: readonly ["append"] = ["append"];
  readonly input: "rows" | "original-bytes";
  readonly settings: Readonly<Record<string, unknown>> = {};
  readonly exclusive: string;
  readonly name: string;
  /** batch id -> rows of the newest write of that batch. */
  readonly batches: Map<number, unknown[]> = new Map();
  readonly contexts: SinkContext[] = [];
  readonly calls: string[] = [];
  /** What the next writes do instead of succeeding; taken from the front. */
  readonly answers: (WriteResult | Error)[] = [];
  last: SinkPosition | "none" | undefined;
  /** What its sessions reject with when they are closed. */
  closeError: Error | undefined;
  /** Called with each chunk; may reject rows. */
  inspect: (chunk: RowChunk<unknown>, context: SinkContext) => Promise<void> = () =>
    Promise.resolve();

  constructor(name: string, input: "rows" | "original-bytes" = "rows") {
    this.name = name;
    this.input = input;
    this.exclusive = name;
  }

  /** All rows, in batch order. */
  get rows(): readonly unknown[] {
    return [...this.batches].toSorted(([a], [b]) => a - b).flatMap(([, rows]) => rows);
  }

  open(context: SinkContext): Promise<SinkSession<never>> {
    this.contexts.push(context);
    this.calls.push("open");
    return Promise.resolve({
      guarantee: "exactly-once",
      by: "test",
      last: this.last,
      write: (batch: SinkBatch<never>) => this.#write(batch, context),
      committed: (batchId: number) => {
        this.calls.push(`committed ${batchId}`);
        return Promise.resolve();
      },
      flush: () => {
        this.calls.push("flush");
        return Promise.resolve({ finishedParts: 1 });
      },
      close: () => {
        this.calls.push("close");
        return this.closeError === undefined ? Promise.resolve() : Promise.reject(this.closeError);
      },
    });
  }

  async #write(batch: SinkBatch<never>, context: SinkContext): Promise<WriteResult> {
    this.calls.push(`write ${batch.batchId}`);
    const answer = this.answers.shift();
    if (answer instanceof Error) throw answer;
    if (answer !== undefined && answer.kind !== "written") return answer;
    const rows: unknown[] = [];
    for await (const chunk of batch.chunks) {
      await this.inspect(chunk, context);
      for (let index = 0; index < chunk.count; index++) rows.push(rowOf(chunk, index));
    }
    this.batches.set(batch.batchId, rows);
    return { kind: "written", token: Buffer.from(String(batch.batchId)) };
  }
}

function rowOf(chunk: RowChunk<unknown>, index: number): unknown {
  if (chunk.rows !== undefined) return chunk.rows[index];
  return Buffer.from(valueOf(chunk.block, chunk.recordIndexes[index] ?? 0)).toString();
}
