/**
 * The rows of a batch as requests. Which rows share a request depends on the rows and the limits alone, so a replay makes
 * the same requests; pure.
 */
import type { StoredBlock } from "../contract/record.ts";
import type { RowChunk } from "../contract/sink.ts";
import { HoldfastError, toError } from "../errors.ts";
import { detached, type DetachedRecord } from "./detached.ts";
import { serialised } from "./lines.ts";

/** How rows are written into a body. */
export type HttpFormat = "jsonl" | "json" | "raw";

/** A row on its way, with the record it came from. */
export interface HttpRow {
  /** Place among the rows of the batch, from 0; rows that are set aside have one too. */
  readonly ordinal: number;
  readonly record: DetachedRecord;
  /** Without what separates it from others. */
  readonly bytes: Uint8Array;
}

/** A row that cannot be sent. */
export interface UnfitRow {
  readonly ordinal: number;
  readonly record: DetachedRecord;
  readonly cause: HoldfastError;
}

/** The rows of one request. */
export interface HttpPart {
  /** `7` is the eighth request of its batch, `7.0` and `7.1` are its halves, `7.1.0` is a half of those. */
  readonly path: string;
  /** 1 or more. */
  readonly rows: readonly HttpRow[];
}

/** Limits of one request. */
export interface PartLimits {
  readonly requestBytesMax: number;
  readonly requestRecordsMax: number;
}

/** What surrounds and separates rows: a byte behind each, and one in front of all where there is an opening. */
interface Shape {
  readonly contentType: string;
  readonly opening: string;
  readonly separator: string;
  readonly closing: string;
}

const SHAPES: Readonly<Record<HttpFormat, Shape>> = {
  jsonl: { contentType: "application/x-ndjson", opening: "", separator: "\n", closing: "\n" },
  json: { contentType: "application/json", opening: "[", separator: ",", closing: "]" },
  raw: { contentType: "application/octet-stream", opening: "", separator: "\n", closing: "\n" },
};

const NEWLINE = 0x0a;

export function contentTypeOf(format: HttpFormat): string {
  return SHAPES[format].contentType;
}

/**
 * A row of a chunk, or why it cannot be sent (ROW_TYPE). A row that nothing changed leaves as the bytes it came in,
 * unless it would not be one line, or no element of an array.
 */
export function rowOf(
  chunk: RowChunk<unknown>,
  index: number,
  { ordinal, format }: { readonly ordinal: number; readonly format: HttpFormat },
): HttpRow | UnfitRow {
  const record = detached(chunk.block, chunk.recordIndexes[index] ?? 0);
  const { values } = record.block;
  if (chunk.bytes === "original" && isFit(values, format))
    return { ordinal, record, bytes: values };
  const text = format === "json" ? element(chunk, index, record.block) : serialised(chunk, index);
  if (typeof text !== "string") return { ordinal, record, cause: text };
  return { ordinal, record, bytes: Buffer.from(text) };
}

/** Whether bytes can stand in a body of this format as they are. */
function isFit(bytes: Uint8Array, format: HttpFormat): boolean {
  return format === "raw" || (format === "jsonl" && !bytes.includes(NEWLINE));
}

/** A row in an array: one that is no JSON would spoil all others, so bytes as they came are read first. */
function element(
  chunk: RowChunk<unknown>,
  index: number,
  { values }: StoredBlock,
): string | HoldfastError {
  if (chunk.bytes === "changed") return serialised(chunk, index);
  const text = Buffer.from(values).toString();
  try {
    JSON.parse(text);
    return text;
  } catch (cause) {
    return new HoldfastError("ROW_TYPE", `expected a JSON value: ${toError(cause).message}`, {
      cause,
    });
  }
}

/** Length of the body that this row makes alone. */
export function aloneBytes({ bytes }: HttpRow, format: HttpFormat): number {
  return SHAPES[format].opening.length + bytes.length + 1;
}

/** The body of a request. */
export function bodyOf(rows: readonly HttpRow[], format: HttpFormat): Uint8Array {
  const { opening, separator, closing } = SHAPES[format];
  const rowBytes = rows.reduce((sum, { bytes }) => sum + bytes.length + 1, 0);
  const body = Buffer.allocUnsafe(opening.length + rowBytes);
  let at = body.write(opening, "latin1");
  for (const [index, { bytes }] of rows.entries()) {
    body.set(bytes, at);
    at += bytes.length;
    at += body.write(index === rows.length - 1 ? closing : separator, at, "latin1");
  }
  return body;
}

/** Fills one part after the other, each as full as the limits allow. */
export class PartFilling {
  readonly #limits: PartLimits;
  readonly #format: HttpFormat;
  #rows: HttpRow[] = [];
  #bytes = 0;
  #partIndex = 0;

  constructor(limits: PartLimits, format: HttpFormat) {
    this.#limits = limits;
    this.#format = format;
  }

  /** Takes a row that is not too long to be sent alone; the part before it, if the row begins a new one. */
  add(row: HttpRow): HttpPart | undefined {
    const { requestBytesMax, requestRecordsMax } = this.#limits;
    const bytes = row.bytes.length + 1;
    const isFull = this.#rows.length === requestRecordsMax || this.#bytes + bytes > requestBytesMax;
    const part = isFull ? this.end() : undefined;
    if (this.#rows.length === 0) this.#bytes = SHAPES[this.#format].opening.length;
    this.#rows.push(row);
    this.#bytes += bytes;
    return part;
  }

  /** The part that is left, if any. */
  end(): HttpPart | undefined {
    const rows = this.#rows;
    if (rows.length === 0) return undefined;
    this.#rows = [];
    this.#bytes = 0;
    return { path: String(this.#partIndex++), rows };
  }
}

/** A part of 2 or more rows as two; the first has one row more where the number is odd. */
export function halvesOf({ path, rows }: HttpPart): readonly [HttpPart, HttpPart] {
  const middle = Math.ceil(rows.length / 2);
  return [
    { path: `${path}.0`, rows: rows.slice(0, middle) },
    { path: `${path}.1`, rows: rows.slice(middle) },
  ];
}
