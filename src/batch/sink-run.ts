/**
 * One sink of a pipeline while it is open: its session, the check of its identity, and one attempt to write.
 */
import type { Plan } from "../contract/log.ts";
import type { Output } from "../contract/graph.ts";
import type {
  RejectedRow,
  SinkBatch,
  SinkContext,
  SinkPosition,
  SinkSession,
  WriteResult,
} from "../contract/sink.ts";
import { HoldfastError } from "../errors.ts";
import { Exchange } from "./exchange.ts";

/** What the processor gives to every sink of its pipeline. */
export type SharedSinkContext = Omit<
  SinkContext,
  "name" | "mode" | "lastToken" | "reject" | "logger"
> & {
  readonly logger: SinkContext["logger"];
  reject(sink: string, rows: readonly RejectedRow[]): Promise<void>;
};

/** What the ledger says about the pipeline when its sinks open. */
export interface SinkHistory {
  readonly tokens: Readonly<Record<string, Uint8Array>> | undefined;
  /** Batch whose plan is durable and whose commit is not, or undefined. */
  readonly openBatchId: number | undefined;
}

/** An open sink. */
export class SinkRun {
  readonly name: string;
  readonly output: Output<unknown, string>;
  readonly session: SinkSession<never>;
  #exchange: Exchange = new Exchange();

  private constructor(output: Output<unknown, string>, session: SinkSession<never>) {
    this.name = output.sink.name;
    this.output = output;
    this.session = session;
  }

  /**
   * Opens the sink and compares what it has stored with the ledger.
   *
   * @throws SINK_BEHIND, SINK_CONFLICT, and what the sink throws.
   */
  static async open(
    output: Output<unknown, string>,
    shared: SharedSinkContext,
    history: SinkHistory,
  ): Promise<SinkRun> {
    const { sink, mode } = output;
    const token = history.tokens?.[sink.name];
    const context: SinkContext = {
      ...shared,
      name: sink.name,
      mode,
      logger: shared.logger.child({ sink: sink.name }),
      lastToken: token === undefined || token.length === 0 ? undefined : token,
      reject: (rows) => shared.reject(sink.name, rows),
    };
    const session = await sink.open(context);
    const run = new SinkRun(output, session);
    try {
      checkIdentity(
        { sink: sink.name, pipeline: shared.pipeline, lastBatchId: shared.lastBatchId },
        session.last,
        { ...history, tookPart: token !== undefined },
      );
      if (shared.lastBatchId > 0) await session.committed?.(shared.lastBatchId);
      return run;
    } catch (cause) {
      await session.close(shared.signal);
      throw cause;
    }
  }

  /** The end that the processor feeds during a write. */
  get exchange(): Exchange {
    return this.#exchange;
  }

  /** Starts one attempt. It settles when the sink is through; the exchange no longer waits for it then. */
  async write(
    batch: Omit<SinkBatch<never>, "sink" | "mode" | "chunks">,
    exchange: Exchange,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    this.#exchange = exchange;
    try {
      // The compiler matched the sink's row type with the stream's when the output was made.
      return await this.session.write(
        {
          ...batch,
          sink: this.name,
          mode: this.output.mode,
          chunks: exchange as SinkBatch<never>["chunks"],
        },
        signal,
      );
    } finally {
      exchange.leave();
    }
  }
}

interface Known {
  readonly sink: string;
  readonly pipeline: string;
  readonly lastBatchId: number;
}

/** A sink that stores positions must stand at the last commit, or at the open plan that it had written already. */
function checkIdentity(
  known: Known,
  last: SinkPosition | "none" | undefined,
  history: SinkHistory & { readonly tookPart: boolean },
): void {
  if (last === undefined) return;
  const { sink, pipeline, lastBatchId } = known;
  if (last === "none") {
    if (!history.tookPart) return;
    throw behind(known, "no batch of this pipeline");
  }
  if (last.batchId < lastBatchId) throw behind(known, `batch ${last.batchId}`);
  const newest = history.openBatchId ?? lastBatchId;
  if (last.batchId > newest) {
    throw new HoldfastError(
      "SINK_CONFLICT",
      `${sink}: stores batch ${last.batchId} of ${pipeline}, the ledger knows ${newest}: was the data directory restored from a copy, or does a copy of it run?`,
      {
        fix: `stop the other copy; or \`holdfast pipelines forget ${pipeline}\` starts it anew as another writer`,
      },
    );
  }
}

function behind({ sink, pipeline, lastBatchId }: Known, stores: string): HoldfastError {
  return new HoldfastError(
    "SINK_BEHIND",
    `${sink}: stores ${stores}, the ledger committed ${lastBatchId} of ${pipeline}: was the store deleted or restored from a copy?`,
    {
      fix: `bring the store back; or empty it and \`holdfast pipelines forget ${pipeline}\`: it begins anew with what the log still has`,
    },
  );
}

/** A plan as sinks see it. */
export function batchOf(
  plan: Plan,
  writerId: string,
): Omit<SinkBatch<never>, "sink" | "mode" | "chunks"> {
  const { pipeline, batchId, epoch, ranges, batchTimeMs } = plan;
  return { writerId, pipeline, batchId, epoch, ranges, batchTimeMs };
}

/** Closes all of them at once. @throws AggregateError when some do not close */
export async function closeSinks(
  pipeline: string,
  sinks: readonly SinkRun[],
  signal: AbortSignal,
): Promise<void> {
  const closed = await Promise.allSettled(sinks.map(({ session }) => session.close(signal)));
  const causes: unknown[] = closed.flatMap((result) =>
    result.status === "rejected" ? [result.reason] : [],
  );
  if (causes.length > 0)
    throw new AggregateError(causes, `${pipeline}: ${causes.length} sinks did not close`);
}
