/**
 * A sink in memory: its rows can be read by the process that runs it.
 */
import { copyOf } from "../contract/record.ts";
import type {
  RowChunk,
  Sink,
  SinkBatch,
  SinkContext,
  SinkPosition,
  SinkSession,
  WriteResult,
} from "../contract/sink.ts";
import { type ObjectSchema, schema } from "../schema.ts";
import { checkSinkOptions } from "./options.ts";
import { judgeBatch, positionAfter, START } from "./position.ts";

/** Options of {@link memory}. */
export interface MemoryOptions {
  /** Rows kept, 1 .. 10,000,000; older ones make room. @defaultValue 1,000,000 */
  readonly rowsMax?: number;
}

/** A sink whose rows can be read. */
export interface MemorySink extends Sink<unknown, "append" | "complete"> {
  /** Rows of all written batches, in order; of a stream without decoder, a copy of each record's bytes. */
  readonly rows: readonly unknown[];
}

/** Options as the configuration reads them. */
export const memoryOptions: ObjectSchema<MemoryOptions, { readonly rowsMax: number }> =
  schema.object({
    rowsMax: schema.withDefault(schema.integer({ min: 1, max: 10_000_000 }), 1_000_000),
  });

/**
 * A sink that keeps rows in this value: exactly once, also when its pipeline restarts, as long as the process
 * lives. It is for tests and for reading results in the same program.
 *
 * @throws CONFIG_VALUE, CONFIG_OUT_OF_RANGE, CONFIG_TYPE, CONFIG_KEY_UNKNOWN
 */
export function memory(name: string, options: MemoryOptions = {}): MemorySink {
  const { rowsMax } = checkSinkOptions({ type: "memory", name }, memoryOptions, options);
  const store = new Store(rowsMax);
  return Object.freeze({
    kind: "sink",
    name,
    type: "memory",
    modes: ["append", "complete"] as const,
    input: "rows",
    settings: { rowsMax },
    exclusive: "",
    get rows(): readonly unknown[] {
      return store.rows;
    },
    open: (context: SinkContext) => Promise.resolve(session(store, context)),
  });
}

class Store {
  readonly #rowsMax: number;
  readonly #positions = new Map<string, SinkPosition>();
  readonly rows: unknown[] = [];

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax;
  }

  position(writerId: string): SinkPosition | undefined {
    return this.#positions.get(writerId);
  }

  /** Rows and position move together, without a wait in between. */
  take(batch: SinkBatch<never>, rows: readonly unknown[]): void {
    if (batch.mode === "complete") this.rows.length = 0;
    for (const row of rows) this.rows.push(row);
    this.rows.splice(0, this.rows.length - this.#rowsMax);
    this.#positions.set(
      batch.writerId,
      positionAfter(this.position(batch.writerId) ?? START, batch),
    );
  }
}

function session(store: Store, { writerId }: SinkContext): SinkSession<never> {
  return {
    guarantee: "exactly-once",
    by: "memory",
    // A new process knows nothing and is not behind: what was here went with the old one.
    last: store.position(writerId),
    write: (batch, signal) => write(store, batch, signal),
    close: () => Promise.resolve(),
  };
}

async function write(
  store: Store,
  batch: SinkBatch<never>,
  signal: AbortSignal,
): Promise<WriteResult> {
  const stored = store.position(batch.writerId);
  if (stored !== undefined && judgeBatch(stored, batch) === "already-written")
    return { kind: "already-written" };
  const rows: unknown[] = [];
  for await (const chunk of batch.chunks) {
    signal.throwIfAborted();
    for (let index = 0; index < chunk.count; index++) rows.push(rowOf(chunk, index));
  }
  signal.throwIfAborted();
  store.take(batch, rows);
  return { kind: "written" };
}

function rowOf(chunk: RowChunk<unknown>, index: number): unknown {
  return chunk.rows === undefined
    ? copyOf(chunk.block, chunk.recordIndexes[index] ?? 0)
    : chunk.rows[index];
}
