/**
 * The configuration as data, after the file's layout was checked and before names and exports are
 * looked up. Durations are milliseconds, sizes bytes. `undefined`: the file does not say.
 */
import type { Directive, OnExhausted, Strategy } from "../contract/unit.ts";
import type { Mode } from "../contract/sink.ts";
import type { Placed } from "./fields.ts";
import type { Named } from "./objects.ts";

/** One rule of a strategy. */
export interface DecideRule {
  readonly class: Placed<string> | undefined;
  readonly code: string | undefined;
  readonly if: Placed<string> | undefined;
  readonly then: Directive;
}

/** Waiting between restarts. */
export interface BackoffConfig {
  readonly min: number;
  readonly max: number;
  readonly resetAfter: number;
}

/** A named strategy. */
export interface StrategyConfig {
  readonly scope: Strategy["scope"] | undefined;
  readonly maxRestarts: number;
  readonly within: number;
  readonly decide: readonly Placed<DecideRule>[] | undefined;
  readonly otherwise: Directive | undefined;
  readonly backoff: BackoffConfig | undefined;
  readonly onExhausted: OnExhausted | undefined;
}

/** The write-ahead log. */
export interface LogConfig {
  readonly bytesMax: number | undefined;
  readonly keep:
    | { readonly duration: number | undefined; readonly bytes: number | undefined }
    | undefined;
  readonly minCommitInterval: number | undefined;
  readonly segmentMax: number | undefined;
  readonly reserve: "none" | "full" | undefined;
  readonly flushesPerSecondMax: number | undefined;
  readonly durability: "standard" | "strict" | undefined;
}

/** Metrics and health over HTTP. */
export interface ConsoleConfig {
  readonly port: number;
  readonly host: string | undefined;
}

/** When batches start. */
export interface TriggerConfig {
  readonly kind: "asap" | "interval" | "available-now" | "once";
  /** `minInterval` of asap, the length of interval. */
  readonly ms: number | undefined;
}

/** How bytes become rows; `schema` names an export. */
export interface DecodeConfig {
  readonly format: "json" | "raw";
  readonly schema: Placed<string> | undefined;
}

/** One operator. */
export interface StepConfig {
  readonly kind: "map" | "filter" | "flatMap";
  readonly reference: Placed<string>;
}

/** One stream. */
export interface StreamConfig {
  readonly from: readonly Placed<string>[];
  readonly decode: DecodeConfig | undefined;
  readonly steps: readonly StepConfig[] | undefined;
}

/** Which stream goes to which sink. */
export interface OutputConfig {
  readonly from: Placed<string>;
  readonly to: Placed<string>;
  readonly mode: Placed<Mode> | undefined;
}

/** A pipeline, in either form. */
export interface PipelineConfig {
  readonly from: readonly Placed<string>[] | undefined;
  readonly decode: DecodeConfig | undefined;
  readonly steps: readonly StepConfig[] | undefined;
  readonly sinks: readonly Placed<string>[] | undefined;
  readonly streams: readonly Named<StreamConfig>[] | undefined;
  readonly outputs: readonly OutputConfig[] | undefined;
  readonly trigger: TriggerConfig | undefined;
  readonly startAt: "oldest" | "now" | undefined;
  readonly batchRecordsMax: number | undefined;
  readonly batchBytesMax: number | undefined;
  readonly deadLetterRatioMax: number | undefined;
  readonly supervision: Placed<string> | undefined;
}

/** A receiver, source or sink whose options are read when its type is known. */
export type Typed = Placed<undefined>;

/** The whole file. */
export interface FileConfig {
  readonly version: 1;
  readonly data: string | undefined;
  readonly log: LogConfig | undefined;
  readonly supervision: readonly Named<StrategyConfig>[] | undefined;
  readonly receivers: readonly Named<Typed>[] | undefined;
  readonly sources: readonly Named<Typed>[] | undefined;
  readonly sinks: readonly Named<Typed>[] | undefined;
  readonly pipelines: readonly Named<PipelineConfig>[] | undefined;
  readonly console: ConsoleConfig | undefined;
}
