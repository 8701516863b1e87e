/**
 * A sink that prints: each row as a line of JSON.
 */
import type { Sink, SinkBatch, SinkContext, SinkSession, WriteResult } from "../contract/sink.ts";
import { writeStdout } from "../host/stdout.ts";
import { customField, type ObjectSchema, schema } from "../schema.ts";
import { jsonFormat, type LineWriter } from "./lines.ts";
import { checkSinkOptions } from "./options.ts";

/** Takes some lines, each with its newline. A promise slows the pipeline down until it resolves. */
export type WriteLines = (text: string) => void | Promise<void>;

/** Options of {@link consoleLines}. */
export interface ConsoleOptions {
  /** @defaultValue standard output */
  readonly write?: WriteLines;
}

/** Options as the configuration reads them. */
export const consoleOptions: ObjectSchema<ConsoleOptions, ConsoleOptions> = schema.object({
  write: schema.optional(
    customField<WriteLines>("a function", (value) => (isWriter(value) ? value : undefined)),
  ),
});

/**
 * A sink that prints rows as JSON lines. At least once: a batch that is replayed after a crash is printed again.
 *
 * @throws CONFIG_VALUE, CONFIG_KEY_UNKNOWN
 */
export function consoleLines(name: string, options: ConsoleOptions = {}): Sink<unknown, "append"> {
  const { write = writeStdout } = checkSinkOptions(
    { type: "console", name },
    consoleOptions,
    options,
  );
  return Object.freeze({
    kind: "sink",
    name,
    type: "console",
    modes: ["append"] as const,
    input: "rows",
    settings: {},
    exclusive: "",
    open: (context: SinkContext) => Promise.resolve(session(context, write)),
  });
}

// What it does is known only when it is called.
function isWriter(value: unknown): value is WriteLines {
  return typeof value === "function";
}

function session(context: SinkContext, write: WriteLines): SinkSession<never> {
  return {
    guarantee: "at-least-once",
    by: "no position",
    write: (batch, signal) => print(batch, { context, write, signal }),
    close: () => Promise.resolve(),
  };
}

interface Printing {
  readonly context: SinkContext;
  readonly write: WriteLines;
  readonly signal: AbortSignal;
}

async function print(
  batch: SinkBatch<unknown>,
  { context, write, signal }: Printing,
): Promise<WriteResult> {
  for await (const chunk of batch.chunks) {
    signal.throwIfAborted();
    const lines = new TextLines();
    const rejected = await jsonFormat(chunk, lines);
    if (rejected.length > 0) await context.reject(rejected);
    if (lines.text !== "") await write(lines.text);
  }
  return { kind: "written" };
}

/** Collects the lines of one chunk. */
class TextLines implements LineWriter {
  text = "";

  append(bytes: Uint8Array, start: number, end: number): undefined {
    this.text += Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
  }

  appendText(text: string): undefined {
    this.text += text;
  }
}
