/**
 * Rows as columns for the worker. Runs on the main thread for every row, so it makes no object per row, and checks
 * types on the way: a row of a wrong type is named here, while its record is at hand.
 */
import { type StoredBlock, valueStart } from "../contract/record.ts";
import type { RowChunk } from "../contract/sink.ts";
import { HoldfastError } from "../errors.ts";
import { valueText } from "../schema-issues.ts";
import type { SqlBinding } from "./sqlite-driver.ts";
import type { PackedBody, PackedColumn, PackedOrigin, PackedRows } from "./sqlite-protocol.ts";
import type { DataColumn, OriginColumn, SqlType } from "./sqlite-table.ts";

/** A row that no column set can take, by its place in the chunk. */
export interface BadRow {
  readonly index: number;
  readonly cause: Error;
}

/** What became of a chunk. */
export interface PackedChunk {
  readonly rows: PackedRows;
  /** Place in the chunk of each packed row. */
  readonly indexes: Uint32Array;
  readonly bad: readonly BadRow[];
  /** Buffers that may be handed over. */
  readonly buffers: readonly ArrayBuffer[];
}

/** The table as far as packing needs it. */
export interface PackShape {
  readonly columns: readonly DataColumn[];
  readonly originColumns: readonly OriginColumn[];
}

/** Largest and smallest integer of SQLite. */
const INTEGER_MAX: bigint = 2n ** 63n - 1n;
const INTEGER_MIN: bigint = -(2n ** 63n);

/** Packs the rows of a chunk that have the right types. Copies everything: the chunk's views may die afterwards. */
export function packChunk(chunk: RowChunk<unknown>, shape: PackShape): PackedChunk {
  const all = new Uint32Array(chunk.count);
  for (let index = 0; index < all.length; index++) all[index] = index;
  const rows = new RowPacker(chunk, all);
  const columns = rows.pack(shape.columns);
  if (rows.bad.size === 0) return packed(chunk, shape, { columns, indexes: all, bad: [] });
  // Rare: pack once more without the rows that are refused.
  const indexes = all.filter((index) => !rows.bad.has(index));
  const bad = [...rows.bad]
    .map(([index, cause]) => ({ index, cause }))
    .toSorted((a, b) => a.index - b.index);
  return packed(chunk, shape, {
    columns: new RowPacker(chunk, indexes).pack(shape.columns),
    indexes,
    bad,
  });
}

interface Parts {
  readonly columns: readonly PackedColumn[];
  readonly indexes: Uint32Array;
  readonly bad: readonly BadRow[];
}

function packed(
  chunk: RowChunk<unknown>,
  { originColumns }: PackShape,
  { columns, indexes, bad }: Parts,
): PackedChunk {
  const origin = packOrigin(chunk, indexes, originColumns);
  return {
    rows: { count: indexes.length, columns, origin },
    indexes,
    bad,
    buffers: buffersOf(columns, origin),
  };
}

/** Columns of some rows of a chunk. */
class RowPacker {
  readonly #rows: readonly unknown[] | undefined;
  readonly #indexes: Uint32Array;
  readonly bad = new Map<number, Error>();

  constructor({ rows }: RowChunk<unknown>, indexes: Uint32Array) {
    this.#rows = rows;
    this.#indexes = indexes;
  }

  pack(columns: readonly DataColumn[]): readonly PackedColumn[] {
    if (this.#rows !== undefined) this.#checkObjects(this.#rows);
    return columns.map((column) => this.#packColumn(column));
  }

  #checkObjects(rows: readonly unknown[]): void {
    for (const index of this.#indexes) {
      const row = rows[index];
      if (typeof row !== "object" || row === null)
        this.bad.set(
          index,
          new HoldfastError("ROW_TYPE", `expected an object, got ${valueText(row)}`),
        );
    }
  }

  #packColumn(column: DataColumn): PackedColumn {
    switch (column.type) {
      case "REAL":
      case "INTEGER":
        return this.#packNumbers(column);
      case "TEXT":
        return this.#packTexts(column);
      case "BLOB":
      case "ANY":
        return this.#packValues(column);
    }
  }

  #packNumbers(column: DataColumn): PackedColumn {
    const indexes = this.#indexes;
    const values = new Float64Array(indexes.length);
    let nulls: Uint8Array | undefined;
    for (let at = 0; at < indexes.length; at++) {
      const value = this.#value(column, indexes[at] ?? 0);
      const number = numberOf(column.type, value);
      if (number !== undefined) values[at] = number;
      // Too large for a float: the whole column goes value by value.
      else if (typeof value === "bigint") return this.#packValues(column);
      else
        (nulls ??= new Uint8Array(indexes.length))[at] = this.#packNull(
          column,
          value,
          indexes[at] ?? 0,
        );
    }
    return { kind: "numbers", values, nulls };
  }

  #packTexts(column: DataColumn): PackedColumn {
    const indexes = this.#indexes;
    const ends = new Uint32Array(indexes.length);
    let nulls: Uint8Array | undefined;
    let joined = "";
    for (let at = 0; at < indexes.length; at++) {
      const value = this.#value(column, indexes[at] ?? 0);
      if (typeof value === "string") joined += value;
      else
        (nulls ??= new Uint8Array(indexes.length))[at] = this.#packNull(
          column,
          value,
          indexes[at] ?? 0,
        );
      ends[at] = joined.length;
    }
    if (joined.includes("\0")) this.#refuseZeros(column);
    return { kind: "texts", joined, ends, nulls };
  }

  /** One of SQLite's drivers ends text at a zero character: better set aside than cut. */
  #refuseZeros(column: DataColumn): void {
    for (const index of this.#indexes) {
      const value = this.#value(column, index);
      if (typeof value === "string" && value.includes("\0"))
        this.#refuse(column, index, "text without zero characters", value);
    }
  }

  #packValues(column: DataColumn): PackedColumn {
    const values: SqlBinding[] = [];
    for (const index of this.#indexes) {
      const value = this.#value(column, index);
      const binding = bindingOf(column.type, value);
      values.push(binding ?? null);
      if (binding === undefined) this.#packNull(column, value, index);
    }
    return { kind: "values", values };
  }

  /** The row's field; undefined for a row that has none or is no object. */
  #value({ name }: DataColumn, index: number): unknown {
    const row = this.#rows?.[index];
    // A row is any object; what it lacks is undefined.
    return typeof row === "object" && row !== null
      ? (row as Readonly<Record<string, unknown>>)[name]
      : undefined;
  }

  #packNull(column: DataColumn, value: unknown, index: number): 1 {
    const isMissing = value === undefined || value === null;
    if (!isMissing || !column.isNullable) this.#refuse(column, index, EXPECTED[column.type], value);
    return 1;
  }

  #refuse({ name }: DataColumn, index: number, expected: string, value: unknown): void {
    if (this.bad.has(index)) return;
    this.bad.set(
      index,
      new HoldfastError("ROW_TYPE", `${name}: expected ${expected}, got ${valueText(value)}`),
    );
  }
}

const EXPECTED: Readonly<Record<SqlType, string>> = {
  INTEGER: "a whole number",
  REAL: "a number",
  TEXT: "text",
  BLOB: "bytes",
  ANY: "text, a number or bytes",
};

/** The value as a float that says the same, or undefined. */
function numberOf(type: SqlType, value: unknown): number | undefined {
  if (typeof value === "number") {
    return (type === "INTEGER" ? Number.isInteger(value) : Number.isFinite(value))
      ? value
      : undefined;
  }
  if (typeof value === "boolean") return value ? 1 : 0;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value))
    ? Number(value)
    : undefined;
}

/** The value as SQLite takes it, or undefined when the column does not. */
function bindingOf(type: SqlType, value: unknown): SqlBinding | undefined {
  // A copy: a view would take the whole buffer behind it along to the worker.
  const bytes = value instanceof Uint8Array ? new Uint8Array(value) : undefined;
  if (type === "BLOB") return bytes;
  if (type === "ANY") return bytes ?? textOf(value) ?? integerOf(value) ?? numberOf(type, value);
  return integerOf(value) ?? numberOf(type, value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && !value.includes("\0") ? value : undefined;
}

function integerOf(value: unknown): bigint | undefined {
  return typeof value === "bigint" && value >= INTEGER_MIN && value <= INTEGER_MAX
    ? value
    : undefined;
}

function packOrigin(
  { block, recordIndexes }: RowChunk<unknown>,
  indexes: Uint32Array,
  wanted: readonly OriginColumn[],
): PackedOrigin {
  const records = new Uint32Array(indexes.length);
  for (let at = 0; at < records.length; at++) records[at] = recordIndexes[indexes[at] ?? 0] ?? 0;
  return {
    receiver: block.receiver,
    firstOffset: block.firstOffset,
    recordIndexes: wanted.includes("log_offset") ? records : undefined,
    receivedAtMs: wanted.includes("received_at") ? packTimes(block, records) : undefined,
    body: wanted.includes("body") ? packBody(block, records) : undefined,
  };
}

function packTimes(block: StoredBlock, records: Uint32Array): Float64Array {
  const times = new Float64Array(records.length);
  for (let at = 0; at < times.length; at++) times[at] = block.receivedAtMs(records[at] ?? 0);
  return times;
}

/** The records' bytes back to back, neighbours in one copy. */
function packBody(block: StoredBlock, records: Uint32Array): PackedBody {
  const ends = new Uint32Array(records.length);
  let length = 0;
  for (let at = 0; at < records.length; at++) {
    const record = records[at] ?? 0;
    ends[at] = length += (block.valueEnds[record] ?? 0) - valueStart(block, record);
  }
  const bytes = new Uint8Array(length);
  for (let at = 0; at < records.length; ) {
    const first = records[at] ?? 0;
    const target = at === 0 ? 0 : (ends[at - 1] ?? 0);
    let last = first;
    while (++at < records.length && records[at] === last + 1) last++;
    bytes.set(block.values.subarray(valueStart(block, first), block.valueEnds[last]), target);
  }
  return { bytes, ends, delimiterBytes: block.delimiterBytes };
}

function buffersOf(
  columns: readonly PackedColumn[],
  { recordIndexes, receivedAtMs, body }: PackedOrigin,
): readonly ArrayBuffer[] {
  const arrays = [recordIndexes, receivedAtMs, body?.bytes, body?.ends];
  for (const column of columns) {
    if (column.kind === "numbers") arrays.push(column.values, column.nulls);
    if (column.kind === "texts") arrays.push(column.ends, column.nulls);
  }
  return arrays.flatMap((array) => (array?.buffer instanceof ArrayBuffer ? [array.buffer] : []));
}
