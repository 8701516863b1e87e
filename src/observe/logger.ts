/**
 * Log lines: pino behind the contract's logger.
 */
import {
  type DestinationStream,
  destination as fileDescriptor,
  type Logger as PinoLogger,
  pino,
} from "pino";
import type { Logger } from "../contract/logger.ts";

/** From most to least. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** Lines below it are dropped. @defaultValue info */
  readonly level?: LogLevel;
  /** Gets one JSON line per call. @defaultValue stderr, written before the call returns */
  readonly destination?: DestinationStream;
}

const STDERR = 2;
/** Fields that never reach a line, at the top or one level down. */
const SECRETS = ["password", "token", "secret", "authorization"];

/** A logger of JSON lines: level, time (ISO 8601 UTC), fields, message. */
export function createLogger({ level = "info", destination }: LoggerOptions = {}): Logger {
  const root = pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // An error under any of these keys keeps its message; alone, JSON makes {} of it.
      serializers: { error: pino.stdSerializers.err, cause: pino.stdSerializers.err },
      redact: SECRETS.flatMap((name) => [name, `*.${name}`]),
    },
    // At once: lines about a crash are of use only when they were written before it.
    destination ?? fileDescriptor({ dest: STDERR, sync: true }),
  );
  return wrap(root);
}

function wrap(lines: PinoLogger): Logger {
  return {
    debug: (message, fields = {}) => lines.debug(fields, message),
    info: (message, fields = {}) => lines.info(fields, message),
    warn: (message, fields = {}) => lines.warn(fields, message),
    error: (message, fields = {}) => lines.error(fields, message),
    child: (fields) => wrap(lines.child(fields)),
  };
}
