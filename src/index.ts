/**
 * Holdfast: takes in data from devices and brokers without losing any of it.
 *
 * Everything exported here is a value or a pure function: nothing opens, runs or registers before
 * `createIngest(...).start()`.
 */
export { asap, availableNow, interval, once } from "./batch/trigger.ts";
export type {
  Breaker,
  BreakerEvent,
  BreakerOptions,
  BreakerState,
  BreakerStatus,
} from "./contract/breaker.ts";
export type { AnyEvent, Events, Listener } from "./contract/events.ts";
export type { Decoder, Output, Pipeline, RecordOrigin, Trigger } from "./contract/graph.ts";
export type { DrainResult, Ingest, RunOptions, StopReport } from "./contract/ingest.ts";
export type { Logger } from "./contract/logger.ts";
export type {
  Receiver,
  ReceiverContext,
  ReceiverOptions,
  ReceiverSession,
  StoreAt,
} from "./contract/receiver.ts";
export type {
  AcquireOptions,
  CloseReason,
  Connector,
  EndpointState,
  EndpointStatus,
  ForgottenWatch,
  HeldLease,
  Lease,
  Pool,
  PoolCloseReport,
  PoolEvent,
  PoolOptions,
  PoolStats,
  PoolTotals,
} from "./contract/pool.ts";
export type { RecordBlock, RecordInput, Stored, StoredBlock } from "./contract/record.ts";
export type {
  Mode,
  OriginalBytes,
  RowChunk,
  Sink,
  SinkBatch,
  SinkContext,
  SinkPosition,
  SinkSession,
  WriteResult,
} from "./contract/sink.ts";
export type {
  BatchBounds,
  DirectSource,
  Source,
  SourceContext,
  SourceGapReason,
  SourceItem,
} from "./contract/source.ts";
export type { Health, Snapshot } from "./contract/status.ts";
export type {
  Backoff,
  Decider,
  Directive,
  Strategy,
  StrategyOptions,
  UnitState,
} from "./contract/unit.ts";
export { defineReceiver, type ReceiverFactory } from "./define-receiver.ts";
export { defineSource, type SourceFactory } from "./define-source.ts";
export { type Code, CODES, HoldfastError } from "./errors.ts";
export { delimited, type Framing, lengthPrefixed, lines, octetCounting } from "./framing/index.ts";
export type { Clock } from "./host/clock.ts";
export type { Host } from "./host/host.ts";
export type { Connection, Endpoint } from "./host/sockets.ts";
export { createIngest } from "./ingest.ts";
export type { IngestOptions, LogOptions } from "./options.ts";
export { pipeline, type PipelineOptions } from "./operator/pipeline.ts";
export { from, type Facts, type RawStream, type RowOf, type Stream } from "./operator/stream.ts";
export { createBreaker } from "./pool/breaker.ts";
export { createPool } from "./pool/pool.ts";
export { json, raw } from "./record/decoders.ts";
export { type Infer, schema } from "./schema.ts";
export { allForOne, equalJitter, oneForOne, restForOne, when } from "../supervisors/index.ts";
