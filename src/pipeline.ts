/**
 * THE DATA PATH. Read this first.
 *
 * ```
 * bytes  -> messages -> blocks -> durable -> batches -> rows -> outside
 *       (1)         (2)       (3)        (4)        (5)     (6)
 * ```
 *
 * (1) `framing/` and (2) `record/` run inside a receiver, which hands blocks to its {@link Intake};
 * (3) `wal/` makes them durable, and only then are they acknowledged;
 * (4) `batch/` plans ranges of the log, or of a source that is read directly, (5) `operator/` turns their records into rows, (6) `sink/` writes them,
 * and the commit in the ledger makes the batch done.
 */
import { createHash } from "node:crypto";
import { logSource } from "./batch/log-source.ts";
import { Processor } from "./batch/processor.ts";
import type { DeadLetterStore } from "./contract/dead-letters.ts";
import type { Emit } from "./contract/events.ts";
import type { Pipeline } from "./contract/graph.ts";
import type { Ends, Ledger, Log } from "./contract/log.ts";
import type { Logger } from "./contract/logger.ts";
import type { PoolFactory } from "./contract/pool.ts";
import type { Receiver } from "./contract/receiver.ts";
import type { DirectSource, Source } from "./contract/source.ts";
import type { Decider, UnitContext } from "./contract/unit.ts";
import type { Host } from "./host/host.ts";
import { Intake } from "./intake.ts";
import { compile } from "./operator/compile.ts";
import { describeGraph } from "./operator/pipeline.ts";
import type { Dialer } from "./pool/dialer.ts";

/** What every stage of one ingest shares. */
export interface DataPath {
  readonly log: Log;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetterStore;
  readonly host: Host;
  readonly logger: Logger;
  readonly emit: Emit;
  readonly pool: PoolFactory;
  /** A block was on disk this long after it was handed to the log. */
  readonly appended: (seconds: number) => void;
}

/** What stays over the incarnations of a pipeline. */
export interface PipelineLife {
  /** A restart does not forget that a source is down. */
  readonly dialer: Dialer;
  readonly committed: (ends: Ends) => void;
}

/** (1) (2) (3): from a receiver into the log. */
export function receive(receiver: Receiver, path: DataPath): Intake {
  return new Intake({ ...path, receiver });
}

/** (4) (5) (6): from the log or a source through a pipeline's operators to its sinks. */
export async function process(
  pipeline: Pipeline,
  path: DataPath,
  unit: UnitContext,
  { dialer, committed }: PipelineLife,
): Promise<Processor> {
  const { host, ledger, deadLetters, logger, emit, log, pool } = path;
  const source =
    pipeline.source === undefined
      ? logSource(log)
      : await openSource(pipeline.source, { ...path, unit, dialer, pipeline: pipeline.name });
  return await Processor.open(
    {
      pipeline,
      ledger,
      deadLetters,
      emit,
      committed: (ends) => {
        dialer.proved();
        committed(ends);
      },
      source,
      graphHash: createHash("sha256")
        .update(describeGraph(pipeline))
        .digest("hex")
        .slice(0, GRAPH_HASH_CHARACTERS),
      compile: (failed) => compile(pipeline, failed),
      decide: pipeline.supervision?.decide ?? setAside,
      clock: host.clock,
      random: host.random,
      files: host.files,
      pool,
      httpClient: host.httpClient,
      logger: logger.child({ pipeline: pipeline.name }),
    },
    unit,
  );
}

interface SourceParts extends Pick<DataPath, "host" | "logger"> {
  readonly unit: UnitContext;
  readonly dialer: Dialer;
  readonly pipeline: string;
}

/** (4) instead of the log: what a source keeps itself. */
function openSource(
  definition: DirectSource,
  { host, logger, unit, dialer, pipeline }: SourceParts,
): Promise<Source> {
  const { clock, random, files } = host;
  const { name, options } = definition;
  return definition.open({
    name,
    options,
    pipeline,
    signal: unit.signal,
    clock,
    random,
    files,
    logger: logger.child({ pipeline, source: name }),
    dial: (address, connect) => dialer.dial(address, unit.signal, connect),
    fail: unit.fail,
  });
}

const GRAPH_HASH_CHARACTERS = 16;

/** What happens to a record that a stage cannot take when the pipeline's supervision does not say. */
const setAside: Decider = () => "resume";
