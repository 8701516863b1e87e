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
 * (4) `batch/` plans ranges of the log, (5) `operator/` turns their records into rows, (6) `sink/` writes them,
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
import type { Decider, UnitContext } from "./contract/unit.ts";
import type { Host } from "./host/host.ts";
import { Intake } from "./intake.ts";
import { compile } from "./operator/compile.ts";
import { describeGraph } from "./operator/pipeline.ts";

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

/** (1) (2) (3): from a receiver into the log. */
export function receive(receiver: Receiver, path: DataPath): Intake {
  return new Intake({ ...path, receiver });
}

/** (4) (5) (6): from the log through a pipeline's operators to its sinks. */
export function process(
  pipeline: Pipeline,
  path: DataPath,
  unit: UnitContext,
  committed: (ends: Ends) => void,
): Promise<Processor> {
  const { host, ledger, deadLetters, logger, emit, log, pool } = path;
  return Processor.open(
    {
      pipeline,
      ledger,
      deadLetters,
      emit,
      committed,
      source: logSource(log),
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

const GRAPH_HASH_CHARACTERS = 16;

/** What happens to a record that a stage cannot take when the pipeline's supervision does not say. */
const setAside: Decider = () => "resume";
