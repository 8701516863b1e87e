/**
 * What the log file says about events: one line per change of state, none per batch or record.
 */
import type { Events, Listener } from "../contract/events.ts";
import type { Logger } from "../contract/logger.ts";
import { codeOf, HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import { createThrottle } from "./throttle.ts";

/** Lines of the same kind, pipeline and code are this far apart; the next one says how many were left out. */
export const REPEATED_LINE_MS = 10_000;

/** The same for a unit that fails with the same words again and again. */
export const REPEATED_FAILURE_MS = 60_000;

/** A listener that writes lines. Dead letters, drops and failing batches come in floods and are throttled. */
export function createLogLines({
  logger,
  clock,
}: {
  readonly logger: Logger;
  readonly clock: Clock;
}): Listener {
  return {
    ...receiverLines(logger, clock),
    ...failureLines(logger, clock),
    ...unitLines(logger),
    ...logLines(logger),
    ...pipelineLines(logger, clock),
    ...poolLines(logger),
  };
}

/** How an error looks in a line. The stack is for what is not ours: there the message alone does not tell where. */
export function errorFields(error: Error): object {
  const fields = { code: codeOf(error), error: error.message };
  if (!(error instanceof HoldfastError)) return { ...fields, stack: error.stack };
  return error.fix === "" ? fields : { ...fields, fix: error.fix };
}

function receiverLines(logger: Logger, clock: Clock): Listener {
  const throttle = createThrottle(clock, REPEATED_LINE_MS);
  return {
    onReceiverStarted: ({ receiver, epoch, address }) =>
      logger.info(address === undefined ? "receiver started" : "receiver listens", {
        event: "receiver-started",
        receiver,
        epoch,
        address,
      }),
    onReceiverStopped: ({ receiver, epoch }) =>
      logger.info("receiver stopped", { event: "receiver-stopped", receiver, epoch }),
    onReceiverPaused: ({ receiver, reason }) =>
      logger.warn("receiver paused", { event: "receiver-paused", receiver, reason }),
    onReceiverResumed: ({ receiver }) =>
      logger.info("receiver resumed", { event: "receiver-resumed", receiver }),
    onReceiverDropped: ({ receiver, recordCount, reason }) => {
      const admitted = throttle(`${receiver} ${reason}`);
      if (admitted === undefined) return;
      const fields = { event: "receiver-dropped", receiver, reason, recordCount };
      logger.warn("records dropped", admitted.leftOut === 0 ? fields : { ...fields, ...admitted });
    },
  };
}

function failureLines(logger: Logger, clock: Clock): Listener {
  const throttle = createThrottle(clock, REPEATED_FAILURE_MS);
  return {
    onUnitFailed: ({ unit, epoch, error, directive, restarts, maxRestarts }) => {
      // A broker may be away for weeks, and each attempt fails as the one before.
      const admitted = throttle(`${unit} ${directive} ${codeOf(error)} ${error.message}`);
      if (admitted === undefined) return;
      logger.warn("unit failed", {
        event: "unit-failed",
        unit,
        epoch,
        directive,
        restarts,
        maxRestarts,
        ...errorFields(error),
        ...(admitted.leftOut === 0 ? {} : admitted),
      });
    },
  };
}

function unitLines(logger: Logger): Listener {
  return {
    onUnitStarting: ({ unit, epoch }) =>
      logger.debug("unit starts", { event: "unit-starting", unit, epoch }),
    onUnitStarted: ({ unit, epoch }) =>
      logger.debug("unit started", { event: "unit-started", unit, epoch }),
    onUnitRestarted: ({ unit, epoch, restarts, maxRestarts }) =>
      logger.info("unit restarted", {
        event: "unit-restarted",
        unit,
        epoch,
        restarts,
        maxRestarts,
      }),
    onUnitBackingOff: ({ unit, epoch, delayMs }) =>
      logger.debug("unit waits for its restart", {
        event: "unit-backing-off",
        unit,
        epoch,
        delayMs: Math.round(delayMs),
      }),
    onUnitParked: ({ unit, epoch, error, delayMs }) =>
      logger.error(
        delayMs === undefined
          ? "unit parked until somebody starts it again"
          : "unit parked, to be tried again",
        { event: "unit-parked", unit, epoch, delayMs, ...errorFields(error) },
      ),
    onUnitEscalated: ({ unit, epoch, error }) =>
      logger.error("unit escalated", {
        event: "unit-escalated",
        unit,
        epoch,
        ...errorFields(error),
      }),
    onUnitRecovered: ({ unit, epoch }) =>
      logger.info("unit recovered", { event: "unit-recovered", unit, epoch }),
    onUnitStopping: ({ unit, epoch }) =>
      logger.debug("unit stops", { event: "unit-stopping", unit, epoch }),
    onUnitStopped: ({ unit, epoch }) =>
      logger.debug("unit stopped", { event: "unit-stopped", unit, epoch }),
    onUnitLateResultIgnored: ({ unit, epoch, error }) =>
      logger.debug("error of a life that is over", {
        event: "unit-late-result-ignored",
        unit,
        epoch,
        ...errorFields(error),
      }),
    // Never the messages themselves: they are the users'.
    onUnitMessageDropped: ({ unit, epoch, why, count }) =>
      logger.warn("messages of a unit were dropped", {
        event: "unit-message-dropped",
        unit,
        epoch,
        why,
        count,
      }),
  };
}

function poolLines(logger: Logger): Listener {
  return {
    onPoolDown: ({ pool, address, isParked, error }) => {
      const fields = { event: "pool-down", pool, address, ...errorFields(error) };
      if (isParked) logger.error("endpoint refused for good, not tried again", fields);
      else logger.warn("endpoint cannot be reached, tried again", fields);
    },
    onPoolUp: ({ pool, address }) =>
      logger.info("endpoint is back", { event: "pool-up", pool, address }),
    onPoolLeak: ({ pool, address, heldMs, site, isReclaimed }) =>
      logger.warn("connection was not given back", {
        event: "pool-leak",
        pool,
        address,
        heldMs,
        site,
        isReclaimed,
      }),
  };
}

function logLines(logger: Logger): Listener {
  return {
    onLogRecovered: ({ nextOffset, isClean, gapRecords }) => {
      const fields = { event: "log-recovered", nextOffset, isClean, gapRecords };
      if (gapRecords === 0) logger.info("log opened", fields);
      else logger.warn("log opened with gaps: records were damaged or lost on the disk", fields);
    },
    onLogFull: ({ bytes, bytesMax, fullBy, holder }) =>
      logger.warn(`${fullBy === "disk" ? "disk of the log" : "log"} full, receivers wait`, {
        event: "log-full",
        bytes,
        bytesMax,
        fullBy,
        holder,
      }),
    onLogGap: ({ from, to, reason }) =>
      logger.error("records of the log cannot be read", { event: "log-gap", from, to, reason }),
    onSourceGap: ({ source, pipeline, partition, from, to, reason }) =>
      logger.error("records of a source cannot be read", {
        event: "source-gap",
        source,
        pipeline,
        partition,
        from,
        to,
        reason,
      }),
    onLogQuarantined: ({ file, bytes }) =>
      logger.warn("damaged part of the log was set aside", {
        event: "log-quarantined",
        file,
        bytes,
      }),
    onLogReserved: ({ bytes, bytesTarget, error }) => {
      const fields = { event: "log-reserved", bytes, bytesTarget };
      if (error !== undefined)
        logger.warn("space of the log cannot be reserved for now", {
          ...fields,
          ...errorFields(error),
        });
      else if (bytes < bytesTarget) logger.info("space of the log is being reserved", fields);
      else logger.info("space of the log is reserved", fields);
    },
    onLogUnsuitable: ({ directory, fileSystem, reason }) =>
      logger.warn("acknowledged records may not survive a power cut here", {
        event: "log-unsuitable",
        code: "FILE_SYSTEM_UNSUITABLE",
        directory,
        fileSystem,
        reason,
      }),
    onLogFailed: ({ error }) =>
      logger.error("log failed", { event: "log-failed", ...errorFields(error) }),
  };
}

function pipelineLines(logger: Logger, clock: Clock): Listener {
  const throttle = createThrottle(clock, REPEATED_LINE_MS);
  const repeated = (event: keyof Events, pipeline: string, error: Error): object | undefined => {
    const admitted = throttle(`${event} ${pipeline} ${codeOf(error)}`);
    if (admitted === undefined) return undefined;
    const fields = { event, pipeline, ...errorFields(error) };
    return admitted.leftOut === 0 ? fields : { ...fields, leftOut: admitted.leftOut };
  };
  return {
    onPipelineStarted: ({ pipeline, sinks }) =>
      logger.info("pipeline started", {
        event: "pipeline-started",
        pipeline,
        sinks: sinks.map(({ sink, guarantee, by }) => `${sink} ${guarantee} (${by})`),
      }),
    onPipelineChanged: ({ pipeline, batchId }) =>
      logger.warn("an open batch runs with a changed pipeline", {
        event: "pipeline-changed",
        code: "PIPELINE_CHANGED",
        pipeline,
        batchId,
      }),
    onBatchFailed: ({ pipeline, batchId, error }) => {
      const fields = repeated("batch-failed", pipeline, error);
      if (fields !== undefined) logger.warn("batch failed", { ...fields, batchId });
    },
    onDeadLetter: ({ pipeline, stage, error, offset }) => {
      const fields = repeated("dead-letter", pipeline, error);
      if (fields !== undefined) logger.warn("record set aside", { ...fields, stage, offset });
    },
    onSinkReplayed: ({ pipeline, sink, batchId }) =>
      logger.info("sink has the batch already", {
        event: "sink-replayed",
        pipeline,
        sink,
        batchId,
      }),
    onSinkConflict: ({ pipeline, sink, error }) =>
      logger.error("sink conflict", {
        event: "sink-conflict",
        pipeline,
        sink,
        ...errorFields(error),
      }),
  };
}
