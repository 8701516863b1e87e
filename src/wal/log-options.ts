/**
 * Options of the log, with their defaults and limits in one place.
 */
import type { LogFacts, LogListener } from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import type { Random } from "../host/random.ts";
import { ENTRY_BODY_BYTES_MAX } from "./entry.ts";
import { ALIGNMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, UUID_BYTES } from "./format.ts";

/** How a log is opened. */
export interface LogOptions {
  /** Made when it is not there. The caller holds the lock on the data directory. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly listener: LogListener;
  /** What survives the loss of the log's own bytes. @defaultValue nothing is kept */
  readonly facts?: LogFacts;
  /** Number of this opening; raised above every one that the segments show. @defaultValue 1 */
  readonly epoch?: number;
  /** Identity of the log, 16 bytes. @defaultValue that of the segments, or a new one at random */
  readonly logUuid?: Uint8Array;
  /** Size of a segment: 64 KiB .. 1 GiB in steps of 4 KiB. @defaultValue 16 MiB */
  readonly segmentBytes?: number;
  /** Segments and spares together: at least two segments. @defaultValue 1 GiB */
  readonly bytesMax?: number;
  /**
   * Time between the starts of two commits, unless much waits; spares flash cards. 0 .. 60,000.
   * @defaultValue 0
   */
  readonly minCommitIntervalMs?: number;
  /** How long an append waits for room in a full log: 0 .. 2^31-1. @defaultValue 30,000 */
  readonly storeTimeoutMs?: number;
  /** A longer block is refused: up to 7 MiB. @defaultValue 4 MiB */
  readonly blockBytesMax?: number;
  /**
   * Receivers pause when the open entry holds this much, and resume at half. @defaultValue 2 MiB
   */
  readonly openEntryBytesPause?: number;
  /** Idle time after which the last entry is made provable; 0 = never. @defaultValue 1,000 */
  readonly witnessAfterMs?: number;
  /**
   * `block`: appends wait for room. `drop-oldest`: the oldest segment goes, as a gap. @defaultValue
   * block
   */
  readonly whenFull?: "block" | "drop-oldest";
  /**
   * Released segments are kept while all together are smaller than this and there is room.
   * @defaultValue 0
   */
  readonly keepBytes?: number;
  /** Released segments are kept for this long while there is room. @defaultValue 0 */
  readonly keepMs?: number;
  /**
   * `full`: all of `bytesMax` is allocated in the background, and nothing has to be afterwards.
   * @defaultValue none
   */
  readonly reserve?: "none" | "full";
  /** Memory of {@link sharedDurableEnd}, for readers in other threads. @defaultValue none */
  readonly durableEnd?: SharedArrayBuffer;
}

/** Options with nothing left open. */
export type ResolvedLogOptions = Readonly<Required<Omit<LogOptions, OpenOption>>> &
  Readonly<Pick<LogOptions, OpenOption>>;

/** Options that may be absent in the end too. */
type OpenOption = "logUuid" | "durableEnd";

/** What holds where an option is absent. */
export const LOG_DEFAULTS: Omit<
  ResolvedLogOptions,
  "directory" | "clock" | "random" | "files" | "listener" | "facts" | OpenOption
> = {
  epoch: 1,
  segmentBytes: 16_777_216,
  bytesMax: 1_073_741_824,
  minCommitIntervalMs: 0,
  storeTimeoutMs: 30_000,
  blockBytesMax: 4_194_304,
  openEntryBytesPause: 2_097_152,
  witnessAfterMs: 1_000,
  whenFull: "block",
  keepBytes: 0,
  keepMs: 0,
  reserve: "none",
};

/** Facts for a log without a ledger: what its own segments say has to do. */
export const noFacts: LogFacts = {
  nextOffsetMin: 0,
  segmentIdMax: 0,
  floor: undefined,
  cuts: [],
  gaps: [],
  addCut: () => Promise.resolve(),
  addGap: () => Promise.resolve(),
  moveFloor: () => Promise.resolve(),
  assertOwner: () => Promise.resolve(),
};

/** Fills the defaults in and checks ranges and combinations. Throws CONFIG_OUT_OF_RANGE. */
export function resolveLogOptions(options: LogOptions): ResolvedLogOptions {
  const resolved: ResolvedLogOptions = { facts: noFacts, ...LOG_DEFAULTS, ...options };
  const {
    blockBytesMax,
    bytesMax,
    minCommitIntervalMs,
    openEntryBytesPause,
    segmentBytes,
    storeTimeoutMs,
  } = resolved;
  checkRange("segmentBytes", segmentBytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
  if (segmentBytes % ALIGNMENT_BYTES !== 0)
    throw outOfRange(
      `log.segmentBytes is ${segmentBytes}, allowed are multiples of ${ALIGNMENT_BYTES}`,
    );
  checkRange("bytesMax", bytesMax, 2 * segmentBytes, Number.MAX_SAFE_INTEGER);
  checkRange("minCommitIntervalMs", minCommitIntervalMs, 0, 60_000);
  checkRange("storeTimeoutMs", storeTimeoutMs, 0, 2 ** 31 - 1);
  checkRange("blockBytesMax", blockBytesMax, 1, ENTRY_BODY_BYTES_MAX - 1024 * 1024);
  checkRange("openEntryBytesPause", openEntryBytesPause, 1, ENTRY_BODY_BYTES_MAX);
  checkRange("witnessAfterMs", resolved.witnessAfterMs, 0, 2 ** 31 - 1);
  checkRange("keepBytes", resolved.keepBytes, 0, Number.MAX_SAFE_INTEGER);
  checkRange("keepMs", resolved.keepMs, 0, Number.MAX_SAFE_INTEGER);
  if (resolved.logUuid !== undefined && resolved.logUuid.length !== UUID_BYTES)
    throw outOfRange(`log.logUuid has ${resolved.logUuid.length} bytes, ${UUID_BYTES} are needed`);
  return Object.freeze(resolved);
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max))
    throw outOfRange(`log.${name} is ${value}, allowed are ${min} to ${max}`);
}

function outOfRange(message: string): HoldfastError {
  return new HoldfastError("CONFIG_OUT_OF_RANGE", message);
}
