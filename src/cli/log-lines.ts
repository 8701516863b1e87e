/**
 * Records of the log as lines of JSON.
 */
import { isUtf8 } from "node:buffer";
import type { LogGap } from "../contract/log.ts";
import { type Column, type StoredBlock, valueOf } from "../contract/record.ts";

/** One record as a line with its newline: what was stored, nothing decoded. */
export function recordLine(block: StoredBlock, recordIndex: number): string {
  const { receiver, channel, firstOffset, keys, headers, timestampsMs } = block;
  const key = textIn(keys, recordIndex);
  const headerText = textIn(headers, recordIndex);
  const timestampMs = timestampsMs?.[recordIndex];
  const line = {
    offset: firstOffset + recordIndex,
    receiver,
    channel,
    receivedAt: new Date(block.receivedAtMs(recordIndex)).toISOString(),
    ...(key === "" ? {} : { key }),
    ...(timestampMs === undefined || Number.isNaN(timestampMs) ? {} : { timestampMs }),
    ...(headerText === "" ? {} : { headers: parsed(headerText) }),
    ...valueFields(valueOf(block, recordIndex)),
  };
  return `${JSON.stringify(line)}\n`;
}

/** A range that cannot be had, as a line with its newline. */
export function gapLine({ from, to, reason }: LogGap): string {
  return `${JSON.stringify({ gap: { from, to, reason } })}\n`;
}

/** A value of a column as text; "" where there is none. */
function textIn(column: Column | undefined, recordIndex: number): string {
  if (column === undefined) return "";
  const start = recordIndex === 0 ? 0 : (column.ends[recordIndex - 1] ?? 0);
  return textOf(column.bytes.subarray(start, column.ends[recordIndex] ?? start));
}

/** A receiver of the user's may have stored headers that are no JSON: then their text is shown. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function valueFields(
  bytes: Uint8Array,
): { readonly value: string } | { readonly valueBase64: string } {
  if (isUtf8(bytes)) return { value: textOf(bytes) };
  return { valueBase64: bufferOf(bytes).toString("base64") };
}

function textOf(bytes: Uint8Array): string {
  return bufferOf(bytes).toString("utf8");
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
