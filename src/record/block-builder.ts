/**
 * Records as their author writes them -> one block as the log takes it.
 */
import type { StoreAt } from "../contract/receiver.ts";
import type { Column, RecordBlock, RecordInput } from "../contract/record.ts";
import { HoldfastError } from "../errors.ts";

/** Longest position of a channel in bytes. */
export const POSITION_BYTES_MAX = 4_096;
/** Longest name of a channel in bytes of UTF-8. */
export const CHANNEL_BYTES_MAX = 255;

/** Longest idempotency key. */
export const KEY_CHARACTERS_MAX = 255;

/**
 * One block of one or many records, in order. Its bytes are copies: the caller may change what it passed.
 *
 * @throws BLOCK_INVALID for no record, or for a part that is not what {@link RecordInput} says
 */
export function buildBlock(
  records: RecordInput | readonly RecordInput[],
  at: StoreAt = {},
): RecordBlock {
  const list: readonly unknown[] = Array.isArray(records) ? records : [records];
  if (list.length === 0)
    throw new HoldfastError("BLOCK_INVALID", "a block of 0 records, at least 1 is needed");
  list.forEach(checkRecord);
  checkAt(at);
  // Decode boundary: every element was checked above.
  const checked = list as readonly RecordInput[];
  const values = buildColumn(checked.map(({ value }) => value));
  const keys = optionalColumn(checked.map(({ key = "" }) => key));
  const headers = optionalColumn(checked.map((record) => encodeHeaders(record.headers)));
  const timestampsMs = checked.some(({ timestampMs }) => timestampMs !== undefined)
    ? Float64Array.from(checked, ({ timestampMs = Number.NaN }) => timestampMs)
    : undefined;
  return {
    count: checked.length,
    values: values.bytes,
    valuesStart: 0,
    valueEnds: values.ends,
    delimiterBytes: 0,
    ...(keys === undefined ? {} : { keys }),
    ...(timestampsMs === undefined ? {} : { timestampsMs }),
    ...(headers === undefined ? {} : { headers }),
    channel: at.channel ?? "",
    ...(at.position === undefined ? {} : { position: at.position.slice() }),
  };
}

/** A channel's position without records. @throws BLOCK_INVALID */
export function positionBlock(channel: string, position: Uint8Array): RecordBlock {
  checkAt({ channel, position });
  return { ...NO_RECORDS, channel, position: new Uint8Array(position) };
}

const NO_RECORDS = {
  count: 0,
  values: new Uint8Array(0),
  valuesStart: 0,
  valueEnds: new Uint32Array(0),
  delimiterBytes: 0,
} as const;

function buildColumn(items: readonly (Uint8Array | string)[]): Column {
  const ends = new Uint32Array(items.length);
  let byteCount = 0;
  items.forEach((item, i) => {
    byteCount += typeof item === "string" ? Buffer.byteLength(item) : item.length;
    ends[i] = byteCount;
  });
  const bytes = Buffer.allocUnsafe(byteCount);
  items.forEach((item, i) => {
    const start = ends[i - 1] ?? 0;
    if (typeof item === "string") bytes.write(item, start);
    else bytes.set(item, start);
  });
  return { bytes, ends };
}

function optionalColumn(items: readonly string[]): Column | undefined {
  return items.some((item) => item !== "") ? buildColumn(items) : undefined;
}

/** Headers as their column holds them: a JSON object of texts, nothing where a record has none. */
function encodeHeaders(headers: RecordInput["headers"]): string {
  const text = headers === undefined ? "{}" : JSON.stringify(headers);
  return text === "{}" ? "" : text;
}

function invalid(what: string, value: unknown, wanted: string): HoldfastError {
  const got = Array.isArray(value) ? "a list" : value === null ? "null" : typeof value;
  return new HoldfastError("BLOCK_INVALID", `${what} is ${got}, wanted ${wanted}`);
}

function checkRecord(record: unknown, recordIndex: number): void {
  const name = `record ${recordIndex}`;
  if (typeof record !== "object" || record === null)
    throw invalid(name, record, "an object with a value");
  const { value, key, timestampMs, headers }: Readonly<Record<string, unknown>> = { ...record };
  if (typeof value !== "string" && !(value instanceof Uint8Array))
    throw invalid(`value of ${name}`, value, "text or bytes");
  if (key !== undefined && typeof key !== "string") throw invalid(`key of ${name}`, key, "text");
  if (timestampMs !== undefined) checkTimestamp(timestampMs, name);
  if (headers !== undefined) checkHeaders(headers, name);
}

function checkTimestamp(timestampMs: unknown, name: string): void {
  if (typeof timestampMs !== "number")
    throw invalid(`timestampMs of ${name}`, timestampMs, "milliseconds since 1970");
  if (!Number.isFinite(timestampMs)) {
    throw new HoldfastError(
      "BLOCK_INVALID",
      `timestampMs of ${name} is ${timestampMs}, wanted a finite number`,
    );
  }
}

function checkHeaders(headers: unknown, name: string): void {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    throw invalid(`headers of ${name}`, headers, "an object of texts");
  }
  for (const [key, value] of Object.entries(headers)) {
    if (typeof value !== "string")
      throw invalid(`header ${JSON.stringify(key)} of ${name}`, value, "text");
  }
}

function checkKey(key: unknown): void {
  if (typeof key !== "string") throw invalid("the idempotency key", key, "text");
  if (key.length >= 1 && key.length <= KEY_CHARACTERS_MAX) return;
  throw new HoldfastError(
    "BLOCK_INVALID",
    `idempotency key of ${key.length} characters, allowed are 1 to ${KEY_CHARACTERS_MAX}`,
  );
}

function checkAt({ channel = "", idempotencyKey, position }: StoreAt): void {
  if (idempotencyKey !== undefined) checkKey(idempotencyKey);
  if (typeof channel !== "string") throw invalid("the channel", channel, "text");
  const channelBytes = Buffer.byteLength(channel);
  if (channelBytes > CHANNEL_BYTES_MAX) {
    throw new HoldfastError(
      "BLOCK_INVALID",
      `channel name of ${channelBytes} bytes, limit ${CHANNEL_BYTES_MAX}`,
    );
  }
  if (position === undefined) return;
  if (!(position instanceof Uint8Array)) throw invalid("the position", position, "bytes");
  if (position.length > POSITION_BYTES_MAX) {
    throw new HoldfastError(
      "BLOCK_INVALID",
      `position of ${position.length} bytes, limit ${POSITION_BYTES_MAX}`,
    );
  }
}
