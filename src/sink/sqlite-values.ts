/**
 * Packed rows as values to bind, in the worker.
 */
import { isAscii, isUtf8 } from "node:buffer";
import type { SqlBinding } from "./sqlite-driver.ts";
import type { PackedBody, PackedColumn, PackedOrigin, PackedRows } from "./sqlite-protocol.ts";
import type { OriginColumn } from "./sqlite-table.ts";

/** The value of one column in row `index`. Called with rising indexes. */
export type ColumnReader = (index: number) => SqlBinding;

/** One reader per column, in the order in which values are bound. */
export function columnReaders(
  { columns, origin }: PackedRows,
  originColumns: readonly OriginColumn[],
): readonly ColumnReader[] {
  const readers: ColumnReader[] = [];
  if (originColumns.includes("log_offset")) readers.push(offsetReader(origin));
  if (originColumns.includes("received_at")) readers.push(timeReader(origin));
  if (originColumns.includes("receiver")) readers.push(() => origin.receiver);
  readers.push(...columns.map(columnReader));
  if (origin.body !== undefined) readers.push(bodyReader(origin.body));
  return readers;
}

function offsetReader({ firstOffset, recordIndexes }: PackedOrigin): ColumnReader {
  return (index) => firstOffset + (recordIndexes?.[index] ?? 0);
}

function timeReader({ receivedAtMs }: PackedOrigin): ColumnReader {
  return (index) => Math.floor(receivedAtMs?.[index] ?? 0);
}

function columnReader(column: PackedColumn): ColumnReader {
  switch (column.kind) {
    case "numbers":
      return numberReader(column.values, column.nulls);
    case "texts":
      return textReader(column.joined, column.ends, column.nulls);
    case "values":
      return (index) => exact(column.values[index] ?? null);
  }
}

function numberReader(values: Float64Array, nulls: Uint8Array | undefined): ColumnReader {
  if (nulls === undefined) return (index) => values[index] ?? null;
  return (index) => (nulls[index] === 1 ? null : (values[index] ?? null));
}

function textReader(
  joined: string,
  ends: Uint32Array,
  nulls: Uint8Array | undefined,
): ColumnReader {
  return (index) => {
    if (nulls !== undefined && nulls[index] === 1) return null;
    return joined.slice(index === 0 ? 0 : ends[index - 1], ends[index]);
  };
}

/** Drivers bind a number as a float; in a column without type it would stay one, so whole numbers go as integers. */
function exact(value: SqlBinding): SqlBinding {
  return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
}

/** The record as it came: text, or bytes where it is none. */
function bodyReader({ bytes, ends, delimiterBytes }: PackedBody): ColumnReader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // The driver that stands in on Node 20 would cut text at a zero byte.
  const isPlain = isAscii(buffer) && !buffer.includes(0);
  const all = isPlain ? buffer.toString("latin1") : undefined;
  return (index) => {
    const start = index === 0 ? 0 : (ends[index - 1] ?? 0);
    const end = (ends[index] ?? 0) - delimiterBytes;
    if (all !== undefined) return all.slice(start, end);
    const body = buffer.subarray(start, end);
    return isUtf8(body) && !body.includes(0) ? body.toString("utf8") : body;
  };
}
