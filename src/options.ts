/**
 * Options of `createIngest`: defaults and checks in one place.
 */
import type { Listener } from "./contract/events.ts";
import type { Pipeline } from "./contract/graph.ts";
import type { Logger } from "./contract/logger.ts";
import type { Receiver } from "./contract/receiver.ts";
import type { Strategy } from "./contract/unit.ts";
import { HoldfastError } from "./errors.ts";
import type { Host } from "./host/host.ts";
import { receiversOf } from "./operator/pipeline.ts";

/** How the log is kept. */
export interface LogOptions {
  /** Disk space for log, ledger and dead letters together, 64 MiB .. 1 TiB. When it is used up, receivers wait. @defaultValue 1 GiB */
  readonly bytesMax?: number;
  /** Size of a segment file, 4 MiB .. 1 GiB. @defaultValue 16 MiB */
  readonly segmentBytes?: number;
  /** Keeps committed records at least this long, while `bytesMax` allows. @defaultValue 0 */
  readonly keepMs?: number;
  /** Keeps at least this many bytes of committed records, while `bytesMax` allows. @defaultValue 0 */
  readonly keepBytes?: number;
  /** Least time between two group commits, 0 .. 10,000: spares flash cards by acknowledging later. @defaultValue 0 */
  readonly minCommitIntervalMs?: number;
  /**
   * `full` allocates all of `bytesMax` in the background after the first start: from then on a disk that others fill
   * up does not stop the log. Refused on copy-on-write file systems. @defaultValue none
   */
  readonly reserve?: "none" | "full";
  /**
   * Durable writes in any second at most, those of ledger and dead letters included, 4 .. 10,000; 0 is no bound. Spares
   * flash cards. @defaultValue 0
   */
  readonly flushesPerSecondMax?: number;
  /**
   * `strict` refuses a file system that may lose what was acknowledged (tmpfs, NFS, overlay ...); `standard` warns
   * once and shows it in `health()`. @defaultValue standard
   */
  readonly durability?: "standard" | "strict";
}

/** Options of {@link createIngest}. */
export interface IngestOptions<N extends string = string> {
  /** Data directory, made if needed; one process at a time. */
  readonly directory: string;
  readonly receivers: readonly Receiver<N>[];
  /** Each reads only receivers that are listed. Without any, `log.keepMs` and `keepBytes` say what stays; without those, everything. */
  readonly pipelines: readonly Pipeline<NoInfer<N>>[];
  readonly log?: LogOptions;
  /** HTTP endpoints /metrics, /livez and /readyz. @defaultValue none */
  readonly console?: { readonly port: number; readonly host?: string };
  readonly listeners?: readonly Listener[];
  /** Strategies of units that bring none of their own. */
  readonly supervision?: { readonly receivers?: Strategy; readonly pipelines?: Strategy };
  /** Where log lines go. @defaultValue pino on stderr, level info */
  readonly logger?: Logger;
  /** @defaultValue the real one */
  readonly host?: Host;
}

/** Options with nothing left open; `undefined` means there is none. */
export interface ResolvedIngestOptions {
  readonly directory: string;
  readonly receivers: readonly Receiver[];
  readonly pipelines: readonly Pipeline[];
  readonly log: Required<LogOptions>;
  readonly console: { readonly port: number; readonly host: string } | undefined;
  readonly listeners: readonly Listener[];
  readonly supervision: {
    readonly receivers: Strategy | undefined;
    readonly pipelines: Strategy | undefined;
  };
  readonly logger: Logger | undefined;
  readonly host: Host | undefined;
}

const MIB = 1024 * 1024;

/** Defaults of {@link LogOptions}. */
export const LOG_DEFAULTS: Required<LogOptions> = {
  bytesMax: 1024 * MIB,
  segmentBytes: 16 * MIB,
  keepMs: 0,
  keepBytes: 0,
  minCommitIntervalMs: 0,
  reserve: "none",
  flushesPerSecondMax: 0,
  durability: "standard",
};

/** Options that are words, and which. */
const LOG_WORDS: { readonly [K in "durability" | "reserve"]: readonly LogOptions[K][] } = {
  reserve: ["none", "full"],
  durability: ["standard", "strict"],
};

const LOG_RANGES: {
  readonly [K in Exclude<keyof LogOptions, keyof typeof LOG_WORDS>]-?: readonly [
    min: number,
    max: number,
  ];
} = {
  bytesMax: [64 * MIB, 1024 * 1024 * MIB],
  segmentBytes: [4 * MIB, 1024 * MIB],
  keepMs: [0, Number.MAX_SAFE_INTEGER],
  keepBytes: [0, 1024 * 1024 * MIB],
  minCommitIntervalMs: [0, 10_000],
  flushesPerSecondMax: [0, 10_000],
};

/** With fewer the opening of the log would take longer than its deadline, and the end of an ingest too. */
const FLUSHES_PER_SECOND_MIN = 4;

/** A group of records has 8 MiB at most and its segment's tables a quarter: a file of its own it never needs. */
const RESERVED_SEGMENT_BYTES_MIN = 16 * MIB;

/** Segments that the log works with at least: the open one, a spare, and one that is read. */
const SEGMENTS_MIN = 4;

/**
 * Fills defaults, checks ranges and combinations, and freezes.
 *
 * @throws CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT, CONFIG_REFERENCE
 */
export function resolveIngestOptions(options: IngestOptions): ResolvedIngestOptions {
  const log = { ...LOG_DEFAULTS, ...options.log };
  checkLog(log);
  checkNames("receivers", options.receivers);
  checkNames("pipelines", options.pipelines);
  checkReferences(options);
  checkExclusive(options.pipelines);
  return Object.freeze({
    directory: options.directory,
    receivers: options.receivers,
    pipelines: options.pipelines,
    log: Object.freeze(log),
    console: options.console === undefined ? undefined : { host: "127.0.0.1", ...options.console },
    listeners: options.listeners ?? [],
    supervision: {
      receivers: options.supervision?.receivers,
      pipelines: options.supervision?.pipelines,
    },
    logger: options.logger,
    host: options.host,
  });
}

function checkLog(log: Required<LogOptions>): void {
  for (const [name, [min, max]] of Object.entries(LOG_RANGES)) {
    const value = Object.entries(log).find(([key]) => key === name)?.[1];
    const isInside = typeof value === "number" && value >= min && value <= max;
    if (!isInside) throw outOfRange(name, value, `${min} to ${max}`);
  }
  for (const [name, words] of Object.entries(LOG_WORDS)) {
    const value = Object.entries(log).find(([key]) => key === name)?.[1];
    if (!words.some((word) => word === value)) throw outOfRange(name, value, words.join(", "));
  }
  const { flushesPerSecondMax } = log;
  if (flushesPerSecondMax > 0 && flushesPerSecondMax < FLUSHES_PER_SECOND_MIN)
    throw outOfRange(
      "flushesPerSecondMax",
      flushesPerSecondMax,
      `${FLUSHES_PER_SECOND_MIN} to ${LOG_RANGES.flushesPerSecondMax[1]}, or 0 for no bound`,
    );
  checkSegments(log);
}

function outOfRange(name: string, value: unknown, allowed: string): HoldfastError {
  return new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `log.${name} is ${String(value)}, allowed are ${allowed}`,
  );
}

function checkSegments({ bytesMax, reserve, segmentBytes }: Required<LogOptions>): void {
  if (bytesMax < SEGMENTS_MIN * segmentBytes)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `log.bytesMax is ${bytesMax}, ${SEGMENTS_MIN} segments of ${segmentBytes} need ${SEGMENTS_MIN * segmentBytes}`,
      { fix: "raise log.bytesMax or lower log.segmentBytes" },
    );
  if (reserve === "full" && segmentBytes < RESERVED_SEGMENT_BYTES_MIN)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `log.segmentBytes is ${segmentBytes}, with log.reserve full ${RESERVED_SEGMENT_BYTES_MIN} are needed: the largest group of records has to fit into any segment`,
      { fix: "leave log.segmentBytes out" },
    );
}

function checkNames(kind: string, values: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of values) {
    if (seen.has(name))
      throw new HoldfastError("CONFIG_CONFLICT", `${kind}: 2 have the name ${name}, 1 is allowed`);
    seen.add(name);
  }
}

/** The compiler checks this too; a program without types does not have that. */
function checkReferences({ receivers, pipelines }: IngestOptions): void {
  const known = new Set(receivers.map(({ name }) => name));
  for (const each of pipelines) {
    const missing = receiversOf(each).filter((name) => !known.has(name));
    if (missing.length === 0) continue;
    throw new HoldfastError(
      "CONFIG_REFERENCE",
      `pipeline ${each.name} reads ${missing.join(", ")}, listed are ${[...known].join(", ")}`,
      { fix: `add ${missing[0]} to receivers` },
    );
  }
}

/** Two sinks must not write to the same directory or table: each would take the other's output for its own. */
function checkExclusive(pipelines: readonly Pipeline[]): void {
  const owners = new Map<string, string>();
  for (const { name, outputs } of pipelines) {
    for (const { sink } of outputs) {
      const owner = owners.get(sink.exclusive);
      if (owner !== undefined && sink.exclusive !== "") {
        throw new HoldfastError(
          "CONFIG_CONFLICT",
          `${name}: sink ${sink.name} and ${owner} write to the same place, 1 is allowed: ${sink.exclusive}`,
        );
      }
      owners.set(sink.exclusive, `sink ${sink.name} of ${name}`);
    }
  }
}
