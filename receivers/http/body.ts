/**
 * The records in a request's body, as the bytes they came in.
 */
import { isUtf8 } from "node:buffer";
import { HoldfastError } from "../../src/errors.ts";

/** Content types and how each is split. A request without one is taken as JSON. */
const SPLITTERS: ReadonlyMap<string, (body: Uint8Array) => readonly Uint8Array[]> = new Map([
  ["", splitJson],
  ["application/json", splitJson],
  ["application/x-ndjson", splitLines],
  ["application/jsonl", splitLines],
  ["text/plain", splitLines],
]);

/** Records of one request: shorter ones cost more to split than their bytes say, and nothing else runs meanwhile. */
export const RECORDS_MAX = 65_536;

const SPACE = 0x20;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;

/**
 * One JSON value, the elements of a JSON array, or lines; each record as its own bytes. Line breaks between the
 * tokens of a JSON value become spaces, in `body` itself: a record that is written as a line stays one.
 *
 * @throws HTTP_UNSUPPORTED_MEDIA_TYPE, HTTP_BAD_REQUEST, BLOCK_TOO_LARGE beyond 65,536 records
 */
export function splitBody(contentType: string, body: Uint8Array): readonly Uint8Array[] {
  const type = (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
  const split = SPLITTERS.get(type);
  if (split === undefined) {
    const known = [...SPLITTERS.keys()].filter((each) => each !== "").join(", ");
    throw new HoldfastError(
      "HTTP_UNSUPPORTED_MEDIA_TYPE",
      `content-type is ${type}, allowed are ${known}`,
      { fix: "content-type: application/json" },
    );
  }
  const records = split(body);
  if (records.length === 0)
    throw new HoldfastError(
      "HTTP_BAD_REQUEST",
      `the body of ${body.length} bytes holds 0 records, 1 or more are needed`,
    );
  return records;
}

function splitLines(body: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < body.length; ) {
    const found = body.indexOf(LINE_FEED, start);
    const next = found === -1 ? body.length : found + 1;
    let end = found === -1 ? body.length : found;
    if (end > start && body[end - 1] === CARRIAGE_RETURN) end--;
    if (end > start) lines.push(body.subarray(start, end));
    if (lines.length > RECORDS_MAX) throw tooMany(body);
    start = next;
  }
  return lines;
}

function splitJson(body: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!isUtf8(bytes)) throw notJson(bytes, "it is not UTF-8");
  const value = parseJson(bytes);
  // Inside a string no line break is valid JSON: all that are left stand between tokens.
  for (const lineBreak of [LINE_FEED, CARRIAGE_RETURN]) {
    for (let at = bytes.indexOf(lineBreak); at !== -1; at = bytes.indexOf(lineBreak, at + 1)) {
      bytes[at] = SPACE;
    }
  }
  return Array.isArray(value) ? elementsOf(bytes) : [trimmed(bytes, 0, bytes.length)];
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw notJson(bytes, cause instanceof Error ? cause.message : String(cause));
  }
}

function notJson(bytes: Buffer, reason: string): HoldfastError {
  const message = `the body of ${bytes.length} bytes is not JSON: ${reason}`;
  return new HoldfastError("HTTP_BAD_REQUEST", message, {
    fix: "one JSON value or an array of them; for lines content-type: application/x-ndjson",
  });
}

/** Byte ranges of the elements of an array that is known to be valid JSON: only strings and nesting matter. */
function elementsOf(body: Uint8Array): readonly Uint8Array[] {
  const elements: Uint8Array[] = [];
  let depth = 0;
  let start = 0;
  const take = (end: number): void => {
    const element = trimmed(body, start, end);
    if (element.length > 0) elements.push(element);
    if (elements.length > RECORDS_MAX) throw tooMany(body);
    start = end + 1;
  };
  for (let index = 0; index < body.length; index++) {
    const byte = body[index];
    if (byte === QUOTE) index = stringEnd(body, index);
    else if (byte === BRACKET_OPEN || byte === BRACE_OPEN) {
      depth++;
      if (depth === 1) start = index + 1;
    } else if (byte === BRACKET_CLOSE || byte === BRACE_CLOSE) {
      depth--;
      if (depth === 0) take(index);
    } else if (byte === COMMA && depth === 1) take(index);
  }
  return elements;
}

function tooMany(body: Uint8Array): HoldfastError {
  return new HoldfastError(
    "BLOCK_TOO_LARGE",
    `the body of ${body.length} bytes holds more than ${RECORDS_MAX} records`,
    { fix: "send them in several requests" },
  );
}

/** Index of the quote that ends the string beginning at `from`. */
function stringEnd(body: Uint8Array, from: number): number {
  for (let index = from + 1; index < body.length; index++) {
    if (body[index] === BACKSLASH) index++;
    else if (body[index] === QUOTE) return index;
  }
  return body.length;
}

/** Without JSON's white space at both ends; every such byte is at most a space. */
function trimmed(body: Uint8Array, from: number, to: number): Uint8Array {
  let start = from;
  let end = to;
  while (start < end && (body[start] ?? 0) <= SPACE) start++;
  while (end > start && (body[end - 1] ?? 0) <= SPACE) end--;
  return body.subarray(start, end);
}
