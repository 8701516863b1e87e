/**
 * Nothing lost, nothing twice: the ids that a job's output holds, against those that the generator sent.
 */
import { openSync, readdirSync, readSync, closeSync, statSync } from "node:fs";
import { join } from "node:path";
import { openSqlite, rowsOf } from "../test/support/sqlite-reader.ts";

const chunkBytes = 1 << 20;
const lineFeed = 0x0a;
const zero = 0x30;
/** Where the generator's records have their id. */
const idAt = '{"id":"'.length;
const idDigits = 9;

/** Which of the ids 0 to `count` - 1 should be there. */
export interface Expected {
  readonly count: number;
  readonly wanted: (id: number) => boolean;
}

/** Marks ids and remembers the first thing that is wrong. */
export class IdMarks {
  readonly #seen: Uint8Array;
  readonly #expected: Expected;
  #repeated = 0;
  #foreign = 0;

  constructor(expected: Expected) {
    this.#expected = expected;
    this.#seen = new Uint8Array(expected.count);
  }

  mark(id: number): void {
    if (!(id < this.#seen.length) || !this.#expected.wanted(id)) this.#foreign += 1;
    else if (this.#seen[id] === 1) this.#repeated += 1;
    else this.#seen[id] = 1;
  }

  /** Throws with the three counts unless every wanted id was marked once and nothing else. */
  check(): void {
    let missing = 0;
    for (let id = 0; id < this.#seen.length; id += 1)
      if (this.#seen[id] === 0 && this.#expected.wanted(id)) missing += 1;
    if (missing + this.#repeated + this.#foreign > 0)
      throw new Error(
        `output: ${missing} records missing, ${this.#repeated} repeated, ${this.#foreign} that should not be there`,
      );
  }
}

/** Checks the lines of all finished parts in a directory. */
export function verifyParts(directory: string, expected: Expected): void {
  const marks = new IdMarks(expected);
  const names = readdirSync(directory);
  const open = names.filter((name) => name.endsWith(".open"));
  if (open.length > 0) throw new Error(`output: parts are open after the stop: ${open.join(", ")}`);
  const buffer = Buffer.allocUnsafe(2 * chunkBytes);
  for (const name of names.filter((each) => !each.startsWith(".")))
    markLines(join(directory, name), buffer, marks);
  marks.check();
}

/** Bytes in a directory: how far an output is, at the cost of a few stat calls. */
export function directoryBytes(directory: string): number {
  let bytes = 0;
  for (const name of namesIn(directory))
    bytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    // The sink has not made it yet.
    return [];
  }
}

/** Checks the bodies of a table. */
export async function verifyTable(path: string, expected: Expected): Promise<void> {
  const marks = new IdMarks(expected);
  const database = await openSqlite(path);
  try {
    const id = `CAST(substr(body, ${idAt + 1}, ${idDigits}) AS INTEGER) AS id`;
    for (const row of rowsOf(database, "readings", id)) marks.mark(Number(row["id"]));
  } finally {
    database.close();
  }
  marks.check();
}

/** Reads a file in chunks; what follows the last line feed of a chunk moves to the front of the next. */
function markLines(path: string, buffer: Buffer, marks: IdMarks): void {
  const file = openSync(path, "r");
  try {
    let held = 0;
    for (
      let bytes = readSync(file, buffer, held, chunkBytes, null);
      bytes > 0;
      bytes = readSync(file, buffer, held, chunkBytes, null)
    ) {
      const end = held + bytes;
      const rest = markLinesOf(buffer.subarray(0, end), marks);
      if (end - rest > chunkBytes)
        throw new Error(`${path} has a line of more than ${chunkBytes} bytes`);
      buffer.copy(buffer, 0, rest, end);
      held = end - rest;
    }
    if (held > 0) throw new Error(`${path} ends with ${held} bytes that are no line`);
  } finally {
    closeSync(file);
  }
}

function markLinesOf(bytes: Buffer, marks: IdMarks): number {
  let start = 0;
  for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed, start)) {
    marks.mark(idOf(bytes, start));
    start = end + 1;
  }
  return start;
}

function idOf(bytes: Buffer, start: number): number {
  let id = 0;
  for (let index = start + idAt; index < start + idAt + idDigits; index += 1)
    id = id * 10 + (bytes[index] ?? 0) - zero;
  return id;
}
