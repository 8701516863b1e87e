/**
 * Decoders: bytes of one record to a value.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Decoder } from "../contract/graph.ts";
import { HoldfastError } from "../errors.ts";

/** Longest part of a record that an error message quotes, in characters. */
const EXCERPT_CHARACTERS = 60;

/**
 * JSON in UTF-8. Without a schema the rows are `unknown`; with one they are its output. Any Standard Schema
 * that answers at once is accepted; one that answers with a promise fails the pipeline with SCHEMA_ASYNC.
 *
 * @throws DECODE_FAILED per record, which sets that record aside.
 */
export function json(): Decoder<unknown>;
export function json<S extends StandardSchemaV1>(
  schema: S,
): Decoder<StandardSchemaV1.InferOutput<S>>;
export function json(schema?: StandardSchemaV1): Decoder<unknown> {
  const validate = schema?.["~standard"].validate;
  const decodeText =
    validate === undefined ? parse : (text: string): unknown => check(validate(parse(text)));
  const decode = (bytes: Buffer, start: number, end: number): unknown =>
    decodeText(bytes.toString("utf8", start, end));
  // Only our own kit promises to hand the very value back; another library may have changed it.
  const faithful = schema === undefined || schema["~standard"].vendor === "holdfast";
  return Object.freeze({ kind: "decoder", format: "json", faithful, decode, decodeText });
}

/** The record's bytes as they came, copied. */
export function raw(): Decoder<Uint8Array> {
  const decode = (bytes: Buffer, start: number, end: number): Uint8Array =>
    Uint8Array.prototype.slice.call(bytes, start, end);
  return Object.freeze({ kind: "decoder", format: "raw", faithful: true, decode });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const excerpt =
      text.length > EXCERPT_CHARACTERS ? `${text.slice(0, EXCERPT_CHARACTERS)}...` : text;
    throw new HoldfastError("DECODE_FAILED", `not JSON: ${JSON.stringify(excerpt)}`, { cause });
  }
}

function check(
  result: StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>>,
): unknown {
  if (result instanceof Promise) {
    throw new HoldfastError(
      "SCHEMA_ASYNC",
      "the schema of json() answered with a promise, only direct answers can be used",
      {
        fix: "use a schema without asynchronous checks",
      },
    );
  }
  if (result.issues === undefined) return result.value;
  throw new HoldfastError("DECODE_FAILED", result.issues.map(describe).join("; "));
}

function describe({ message, path = [] }: StandardSchemaV1.Issue): string {
  const name = path.map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  return name === "" ? message : `${name}: ${message}`;
}
