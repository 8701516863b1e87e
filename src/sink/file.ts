/**
 * Sinks that write files: parts that readers may take as they are once they have their final name.
 */
import { resolve } from "node:path";
import type { OriginalBytes, Sink, SinkContext } from "../contract/sink.ts";
import { type ObjectSchema, schema } from "../schema.ts";
import { FileSession, type ResolvedFileOptions } from "./file-session.ts";
import { jsonFormat, rawFormat } from "./lines.ts";
import { checkSinkOptions } from "./options.ts";

/** Options of {@link jsonLines} and {@link rawLines}. */
export interface FileOptions {
  /** Made if needed, relative to the working directory. It belongs to this sink alone. */
  readonly directory: string;
  /** A part is finished after the batch that takes it to this size; 1 KiB .. 1 TiB. @defaultValue 16 MiB */
  readonly partBytesMax?: number;
  /** A part is finished this long after its first row, also when no more arrive; 100 ms .. 7 days. @defaultValue 60,000 */
  readonly partAgeMsMax?: number;
}

const KIB = 1024;
const TIB: number = KIB ** 4;
const DAY_MS: number = 24 * 60 * 60 * 1000;

/** Options as the configuration reads them: for both file sinks. */
export const fileOptions: ObjectSchema<FileOptions, Required<FileOptions>> = schema.object({
  directory: schema.string({ pattern: /^[^\0]+$/ }),
  partBytesMax: schema.sizeBytes({ default: 16 * KIB * KIB, min: KIB, max: TIB }),
  partAgeMsMax: schema.durationMs({ default: 60_000, min: 100, max: 7 * DAY_MS }),
});

/**
 * Writes rows as lines of JSON, exactly once.
 *
 * Rows go to `.NAME.jsonl.open` and are durable there when their batch is; a finished part is called by the offset of
 * its first record, `0000000000001204.jsonl`, and never changes. A row that nothing changed leaves as the bytes
 * that came in; one that is no JSON value becomes a dead letter (ROW_TYPE).
 *
 * @throws CONFIG_VALUE, CONFIG_KEY_MISSING, CONFIG_KEY_UNKNOWN, CONFIG_TYPE, CONFIG_OUT_OF_RANGE
 */
export function jsonLines(name: string, options: FileOptions): Sink<unknown, "append"> {
  return Object.freeze({
    ...fileSink(name, "json-lines", options, { extension: "jsonl", format: jsonFormat }),
    input: "rows",
  });
}

/**
 * Writes records as they came, delimiter included, exactly once: parts as those of {@link jsonLines}, called `.log`.
 * A record without delimiter gets a newline. A record that itself holds a newline keeps it.
 *
 * @throws CONFIG_VALUE, CONFIG_KEY_MISSING, CONFIG_KEY_UNKNOWN, CONFIG_TYPE, CONFIG_OUT_OF_RANGE
 */
export function rawLines(name: string, options: FileOptions): Sink<OriginalBytes, "append"> {
  return Object.freeze({
    ...fileSink(name, "raw-lines", options, { extension: "log", format: rawFormat }),
    input: "original-bytes",
  });
}

function fileSink(
  name: string,
  type: string,
  given: FileOptions,
  kind: Pick<ResolvedFileOptions, "extension" | "format">,
): Omit<Sink<unknown, "append">, "input"> {
  const {
    partBytesMax,
    partAgeMsMax,
    directory: written,
  } = checkSinkOptions({ type, name }, fileOptions, given);
  const directory = resolve(written);
  const resolved: ResolvedFileOptions = Object.freeze({
    ...kind,
    directory,
    partBytesMax,
    partAgeMsMax,
  });
  return {
    kind: "sink",
    name,
    type,
    modes: ["append"],
    settings: Object.freeze({ directory, partBytesMax, partAgeMsMax }),
    exclusive: `directory ${directory}`,
    open: (context: SinkContext) => FileSession.open(context, resolved),
  };
}
