/**
 * One object for all records: `origin` of an operator's function looks at the record being processed.
 */
import type { RecordOrigin } from "../contract/graph.ts";
import type { Column, StoredBlock } from "../contract/record.ts";

/** What the view shows before the first record. */
const NOTHING: StoredBlock = Object.freeze({
  receiver: "",
  partition: 0,
  firstOffset: 0,
  count: 0,
  values: new Uint8Array(0),
  valuesStart: 0,
  valueEnds: new Uint32Array(0),
  delimiterBytes: 0,
  channel: "",
  receivedAtMs: () => Number.NaN,
});

/** A view of record `recordIndex` of `block`; the loop moves it on. */
export class OriginView implements RecordOrigin {
  block: StoredBlock = NOTHING;
  recordIndex = 0;

  get receiver(): string {
    return this.block.receiver;
  }

  get channel(): string {
    return this.block.channel;
  }

  get offset(): number {
    return this.block.firstOffset + this.recordIndex;
  }

  get receivedAtMs(): number {
    return this.block.receivedAtMs(this.recordIndex);
  }

  get key(): string | undefined {
    return textOf(this.block.keys, this.recordIndex);
  }

  get timestampMs(): number | undefined {
    const timestampMs = this.block.timestampsMs?.[this.recordIndex];
    return timestampMs === undefined || Number.isNaN(timestampMs) ? undefined : timestampMs;
  }

  // An own property, so that `({ header }) => header("test")` works.
  readonly header = (name: string): string | undefined => {
    const text = textOf(this.block.headers, this.recordIndex);
    if (text === undefined) return undefined;
    const headers: unknown = JSON.parse(text);
    const value =
      headers !== null && typeof headers === "object"
        ? Object.entries(headers).find(([key]) => key === name)?.[1]
        : undefined;
    return typeof value === "string" ? value : undefined;
  };
}

function textOf(column: Column | undefined, recordIndex: number): string | undefined {
  if (column === undefined) return undefined;
  const start = recordIndex === 0 ? 0 : (column.ends[recordIndex - 1] ?? 0);
  const end = column.ends[recordIndex] ?? start;
  return end === start
    ? undefined
    : Buffer.from(column.bytes.buffer, column.bytes.byteOffset + start, end - start).toString(
        "utf8",
      );
}
