/**
 * What went wrong, in one place: every code, how it is treated, and how it is shown.
 *
 * A failure of the world is a {@link HoldfastError} with a stable `code`; a bug is an assertion.
 * `docs/errors.md` has a section for each code and `test/tidy.test.ts` compares the two.
 */

/** How a code is treated. `exitCode` is what the program ends with when the error ends it. */
export interface CodeRule {
  /** Whether trying the same thing again may help; an error that is not retried parks its unit. */
  readonly retried: boolean;
  /** Exit code of the program: 1, 64 usage, 65 damaged data, 69 unavailable, 78 configuration. */
  readonly exitCode: 1 | 64 | 65 | 69 | 78;
}

const transient: CodeRule = { retried: true, exitCode: 1 };
const permanent: CodeRule = { retried: false, exitCode: 1 };
const usage: CodeRule = { retried: false, exitCode: 64 };
const damaged: CodeRule = { retried: false, exitCode: 65 };
const unavailable: CodeRule = { retried: true, exitCode: 69 };
const configuration: CodeRule = { retried: false, exitCode: 78 };

/** Every code. A code is never reused for another meaning and never removed. */
export type Code =
  | "USAGE"
  | "CONFIG_NOT_FOUND"
  | "CONFIG_SYNTAX"
  | "CONFIG_KEY_UNKNOWN"
  | "CONFIG_KEY_MISSING"
  | "CONFIG_TYPE"
  | "CONFIG_OUT_OF_RANGE"
  | "CONFIG_VALUE"
  | "CONFIG_REFERENCE"
  | "CONFIG_SUBSTITUTION"
  | "CONFIG_MODULE"
  | "CONFIG_CONFLICT"
  | "DIRECTORY_UNWRITABLE"
  | "PLATFORM_UNSUPPORTED"
  | "FILE_SYSTEM_UNSUITABLE"
  | "SCHEMA_ASYNC"
  | "MODE_UNSUPPORTED"
  | "PORT_IN_USE"
  | "ADDRESS_UNAVAILABLE"
  | "DATA_LOCKED"
  | "LOG_MOVED"
  | "LOG_FULL"
  | "LOG_CLOSED"
  | "LOG_FAILED"
  | "LOG_DAMAGED"
  | "LOG_VERSION"
  | "LOG_NEEDED"
  | "LEDGER_FENCED"
  | "BLOCK_TOO_LARGE"
  | "BLOCK_INVALID"
  | "BUSY"
  | "STORE_FENCED"
  | "MESSAGE_TOO_LONG"
  | "FRAME_INVALID"
  | "MESSAGE_UNTERMINATED"
  | "PROTOCOL_VIOLATION"
  | "CONNECTION_LIMIT"
  | "CONNECTION_IDLE"
  | "CONNECTION_FAILED"
  | "CONNECTION_STALLED"
  | "CONNECTION_UNTRUSTED"
  | "CONNECTION_REFUSED"
  | "IDEMPOTENCY_MISMATCH"
  | "SESSION_INVALID"
  | "SOURCE_CHANGED"
  | "MQTT_UNAUTHORIZED"
  | "MQTT_REFUSED"
  | "MQTT_UNAVAILABLE"
  | "MQTT_SUBSCRIPTION_REFUSED"
  | "MQTT_SESSION_TAKEN"
  | "MQTT_PROTOCOL_ERROR"
  | "HTTP_BAD_REQUEST"
  | "HTTP_UNSUPPORTED_MEDIA_TYPE"
  | "KAFKA_TOPIC_UNKNOWN"
  | "KAFKA_TOPIC_RESET"
  | "KAFKA_UNAUTHORIZED"
  | "KAFKA_GROUP_REFUSED"
  | "KAFKA_CODEC_MISSING"
  | "KAFKA_VERSION_UNSUPPORTED"
  | "KAFKA_FAILED"
  | "UNIT_DEADLINE"
  | "UNIT_STOPPED"
  | "UNIT_PARKED"
  | "UNIT_STALLED"
  | "UNIT_STASH_FULL"
  | "UNIT_TERMINATED"
  | "UNIT_UNKNOWN"
  | "CONTROL_REQUEST"
  | "CONTROL_UNAVAILABLE"
  | "POOL_TIMEOUT"
  | "POOL_EXHAUSTED"
  | "POOL_PARKED"
  | "POOL_CLOSED"
  | "BREAKER_OPEN"
  | "DECODE_FAILED"
  | "OPERATOR_FAILED"
  | "ROW_TYPE"
  | "ROW_REFUSED"
  | "DEAD_LETTER_RATIO"
  | "RECEIVER_UNREAD"
  | "PIPELINE_CHANGED"
  | "PIPELINE_UNKNOWN"
  | "SINK_FAILED"
  | "SINK_BUSY"
  | "SINK_CONFLICT"
  | "SINK_BEHIND"
  | "SINK_TABLE"
  | "SINK_REFUSED"
  | "SINK_UNAUTHORIZED"
  | "SQLITE_UNAVAILABLE"
  | "INTERNAL";

/** The rule of each code. */
export const CODES: Readonly<Record<Code, CodeRule>> = {
  // Usage and configuration
  USAGE: usage,
  CONFIG_NOT_FOUND: configuration,
  CONFIG_SYNTAX: configuration,
  CONFIG_KEY_UNKNOWN: configuration,
  CONFIG_KEY_MISSING: configuration,
  CONFIG_TYPE: configuration,
  CONFIG_OUT_OF_RANGE: configuration,
  CONFIG_VALUE: configuration,
  CONFIG_REFERENCE: configuration,
  CONFIG_SUBSTITUTION: configuration,
  CONFIG_MODULE: configuration,
  CONFIG_CONFLICT: configuration,
  RECEIVER_UNREAD: configuration,
  DIRECTORY_UNWRITABLE: configuration,
  PLATFORM_UNSUPPORTED: configuration,
  FILE_SYSTEM_UNSUITABLE: configuration,
  SCHEMA_ASYNC: configuration,
  MODE_UNSUPPORTED: configuration,
  // Start
  PORT_IN_USE: unavailable,
  ADDRESS_UNAVAILABLE: unavailable,
  DATA_LOCKED: unavailable,
  LOG_MOVED: permanent,
  // Log
  LOG_FULL: transient,
  LOG_CLOSED: transient,
  LOG_FAILED: transient,
  LOG_DAMAGED: damaged,
  LOG_VERSION: damaged,
  LOG_NEEDED: permanent,
  LEDGER_FENCED: permanent,
  BLOCK_TOO_LARGE: permanent,
  BLOCK_INVALID: permanent,
  BUSY: transient,
  STORE_FENCED: permanent,
  // Receivers
  MESSAGE_TOO_LONG: permanent,
  FRAME_INVALID: permanent,
  MESSAGE_UNTERMINATED: permanent,
  PROTOCOL_VIOLATION: permanent,
  CONNECTION_LIMIT: transient,
  CONNECTION_IDLE: transient,
  CONNECTION_FAILED: transient,
  CONNECTION_STALLED: transient,
  CONNECTION_UNTRUSTED: permanent,
  CONNECTION_REFUSED: permanent,
  IDEMPOTENCY_MISMATCH: permanent,
  SESSION_INVALID: permanent,
  SOURCE_CHANGED: permanent,
  MQTT_UNAUTHORIZED: permanent,
  MQTT_REFUSED: permanent,
  MQTT_UNAVAILABLE: transient,
  MQTT_SUBSCRIPTION_REFUSED: permanent,
  MQTT_SESSION_TAKEN: permanent,
  MQTT_PROTOCOL_ERROR: transient,
  HTTP_BAD_REQUEST: permanent,
  HTTP_UNSUPPORTED_MEDIA_TYPE: permanent,
  KAFKA_TOPIC_UNKNOWN: permanent,
  KAFKA_TOPIC_RESET: permanent,
  KAFKA_UNAUTHORIZED: permanent,
  KAFKA_GROUP_REFUSED: permanent,
  KAFKA_CODEC_MISSING: permanent,
  KAFKA_VERSION_UNSUPPORTED: permanent,
  KAFKA_FAILED: transient,
  // Supervision
  UNIT_DEADLINE: transient,
  UNIT_STOPPED: permanent,
  UNIT_PARKED: transient,
  UNIT_STALLED: transient,
  UNIT_STASH_FULL: transient,
  UNIT_TERMINATED: transient,
  UNIT_UNKNOWN: permanent,
  // Control socket
  CONTROL_REQUEST: permanent,
  CONTROL_UNAVAILABLE: unavailable,
  // Pools
  POOL_TIMEOUT: transient,
  POOL_EXHAUSTED: transient,
  POOL_PARKED: permanent,
  POOL_CLOSED: permanent,
  BREAKER_OPEN: transient,
  // Pipelines
  DECODE_FAILED: permanent,
  OPERATOR_FAILED: permanent,
  ROW_TYPE: permanent,
  ROW_REFUSED: permanent,
  DEAD_LETTER_RATIO: permanent,
  PIPELINE_CHANGED: permanent,
  PIPELINE_UNKNOWN: permanent,
  // Sinks
  SINK_FAILED: transient,
  SINK_BUSY: transient,
  SINK_CONFLICT: permanent,
  SINK_BEHIND: permanent,
  SINK_TABLE: permanent,
  SINK_REFUSED: permanent,
  SINK_UNAUTHORIZED: permanent,
  SQLITE_UNAVAILABLE: configuration,
  // Anything that is not ours
  INTERNAL: transient,
};

/** A place in a file: 1-based line and column. */
export interface FilePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Characters of that line that are meant, from `column` on. @defaultValue 1 */
  readonly width?: number;
}

/** What an error may carry beside its code and message. */
export interface ErrorDetails {
  /** One thing to type or do, shown behind `fix:`. */
  readonly fix?: string;
  readonly at?: FilePlace;
  readonly cause?: unknown;
}

/**
 * A failure that Holdfast knows. Match `code`, never the text: the message may change, a code never does.
 * The message holds the two numbers that disagree.
 */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: Code;
  /** One thing to type or do; empty when there is nothing better than the message. */
  readonly fix: string;
  readonly at?: FilePlace;

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.fix = details.fix ?? "";
    if (details.at !== undefined) this.at = details.at;
  }
}

/** Whatever was thrown, as an Error: a value that is none becomes the cause of one. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new HoldfastError("INTERNAL", textOf(thrown), { cause: thrown });
}

/** Anything can be thrown, also an object that has no text or whose text throws. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return `a ${typeof thrown} without a text was thrown`;
  }
}

/** The `code` of an error, ours or Node's; `INTERNAL` where it has none. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "INTERNAL";
}

/** Whether trying again may help. What is not ours is tried again: the restart window bounds it. */
export function isRetried(error: unknown): boolean {
  return error instanceof HoldfastError ? CODES[error.code].retried : true;
}
