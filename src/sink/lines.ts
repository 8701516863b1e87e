/**
 * Rows as lines of bytes. A row that nothing changed leaves as the bytes it came in, whole runs of neighbouring
 * records in one copy; every other row is serialised.
 */
import { type StoredBlock, valueEnd, valueStart } from "../contract/record.ts";
import type { RejectedRow, RowChunk } from "../contract/sink.ts";
import { HoldfastError, toError } from "../errors.ts";

/** Where lines go. A promise means: wait before the next call. */
export interface LineWriter {
  /** Takes `bytes[start, end)`; they are copied before this returns or its promise resolves. */
  append(bytes: Uint8Array, start: number, end: number): Promise<void> | undefined;
  appendText(text: string): Promise<void> | undefined;
}

/** How a file sink writes a chunk; gives the rows that could not be written. */
export type LineFormat = (
  chunk: RowChunk<unknown>,
  writer: LineWriter,
) => Promise<readonly RejectedRow[]>;

/** Characters of serialised rows that are collected before they are handed on. */
const TEXT_CHARACTERS = 64 * 1024;

const NEWLINE = 0x0a;
const NEWLINE_BYTES: Uint8Array = Uint8Array.of(NEWLINE);

/**
 * Records as they came, delimiter included; records without one get a newline. A record that holds a newline
 * itself stays as it is: such output is not a file of lines, and its reader must know the framing.
 */
export const rawFormat: LineFormat = async (chunk, writer) => {
  await (chunk.block.delimiterBytes > 0 ? appendRuns(chunk, writer) : appendValues(chunk, writer));
  return [];
};

/**
 * One JSON value per line. Unchanged rows are copied; where a record may hold a newline, it is looked at, and one
 * that does is serialised again.
 */
export const jsonFormat: LineFormat = async (chunk, writer) => {
  if (chunk.bytes === "changed") return appendRows(chunk, writer);
  if (!endsInNewlines(chunk.block)) return appendSingleLines(chunk, writer);
  await appendRuns(chunk, writer);
  return [];
};

/** Whether each record is a line already: split at the newlines, so there is none inside. */
function endsInNewlines({ delimiterBytes, values, valueEnds }: StoredBlock): boolean {
  return delimiterBytes === 1 && values[(valueEnds[0] ?? 0) - 1] === NEWLINE;
}

/** Copies records with their delimiters, as few and as long copies as the rows allow. */
async function appendRuns(
  { block, recordIndexes, count }: RowChunk<unknown>,
  writer: LineWriter,
): Promise<void> {
  for (let index = 0; index < count; ) {
    const first = recordIndexes[index] ?? 0;
    let last = first;
    while (++index < count && recordIndexes[index] === last + 1) last++;
    const full = writer.append(block.values, valueStart(block, first), block.valueEnds[last] ?? 0);
    if (full !== undefined) await full;
  }
}

async function appendValues(
  { block, recordIndexes, count }: RowChunk<unknown>,
  writer: LineWriter,
): Promise<void> {
  for (let index = 0; index < count; index++)
    await appendLine(block, recordIndexes[index] ?? 0, writer);
}

async function appendLine(
  block: StoredBlock,
  recordIndex: number,
  writer: LineWriter,
): Promise<void> {
  await writer.append(block.values, valueStart(block, recordIndex), valueEnd(block, recordIndex));
  await writer.append(NEWLINE_BYTES, 0, 1);
}

async function appendSingleLines(
  chunk: RowChunk<unknown>,
  writer: LineWriter,
): Promise<readonly RejectedRow[]> {
  const { block, recordIndexes, count } = chunk;
  const rejected: RejectedRow[] = [];
  const bytes = bufferOf(block);
  // The next newline at or behind the record: searched for again only once it is passed.
  let newlineAt = -1;
  for (let index = 0; index < count; index++) {
    const recordIndex = recordIndexes[index] ?? 0;
    const start = valueStart(block, recordIndex);
    if (newlineAt < start) newlineAt = indexOrEnd(bytes, start);
    if (newlineAt >= valueEnd(block, recordIndex)) {
      await appendLine(block, recordIndex, writer);
      continue;
    }
    const line = serialised(chunk, index);
    if (typeof line === "string") await writer.appendText(`${line}\n`);
    else rejected.push({ block, recordIndex, cause: line });
  }
  return rejected;
}

async function appendRows(
  chunk: RowChunk<unknown>,
  writer: LineWriter,
): Promise<readonly RejectedRow[]> {
  const { block, recordIndexes, count } = chunk;
  const rejected: RejectedRow[] = [];
  let text = "";
  for (let index = 0; index < count; index++) {
    const line = serialised(chunk, index);
    if (typeof line !== "string") {
      rejected.push({ block, recordIndex: recordIndexes[index] ?? 0, cause: line });
      continue;
    }
    text += line;
    text += "\n";
    if (text.length < TEXT_CHARACTERS) continue;
    await writer.appendText(text);
    text = "";
  }
  if (text !== "") await writer.appendText(text);
  return rejected;
}

/** The row as JSON on one line, or why it has none. A record that nobody decoded is read as JSON first. */
export function serialised(
  { rows, block, recordIndexes }: RowChunk<unknown>,
  index: number,
): string | HoldfastError {
  try {
    const row: unknown =
      rows === undefined ? JSON.parse(textOf(block, recordIndexes[index] ?? 0)) : rows[index];
    const line: string | undefined = JSON.stringify(row);
    return line ?? new HoldfastError("ROW_TYPE", `expected a JSON value, got ${typeof row}`);
  } catch (thrown) {
    return new HoldfastError("ROW_TYPE", `expected a JSON value: ${toError(thrown).message}`, {
      cause: thrown,
    });
  }
}

function textOf(block: StoredBlock, recordIndex: number): string {
  return bufferOf(block).toString(
    "utf8",
    valueStart(block, recordIndex),
    valueEnd(block, recordIndex),
  );
}

function bufferOf({ values }: StoredBlock): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

function indexOrEnd(bytes: Buffer, from: number): number {
  const index = bytes.indexOf(NEWLINE, from);
  return index === -1 ? bytes.length : index;
}
