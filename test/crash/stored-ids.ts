/**
 * What the sinks hold, read from outside once the program has ended.
 */
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openSqlite, rowsOf } from "../support/sqlite-reader.ts";
import type { IdCounts } from "./judge.ts";

/** How often each id stands in the finished parts of a directory. A line that is no JSON throws, with its place. */
export async function idsOfParts(directory: string): Promise<IdCounts> {
  const counts = new Map<string, number>();
  for (const name of await partNames(directory, /^[^.].*\.jsonl$/)) {
    let line = 0;
    for await (const text of createInterface({ input: createReadStream(join(directory, name)) })) {
      line += 1;
      count(counts, idOf(text, `${name}:${line}`));
    }
  }
  return counts;
}

/** Parts that are not finished; after a clean stop there are none. */
export async function openParts(directory: string): Promise<readonly string[]> {
  return partNames(directory, /\.open$/);
}

/** How often each id stands in the bodies of the table. */
export async function idsOfTable(databasePath: string, table: string): Promise<IdCounts> {
  const counts = new Map<string, number>();
  const database = await openSqlite(databasePath);
  try {
    for (const { row, body } of rowsOf(database, table, "CAST(body AS TEXT) AS body"))
      count(counts, idOf(String(body), `row ${String(row)}`));
  } finally {
    database.close();
  }
  return counts;
}

async function partNames(directory: string, pattern: RegExp): Promise<readonly string[]> {
  const names = await readdir(directory, { recursive: true });
  return names.filter((name) => pattern.test(name.slice(name.lastIndexOf("/") + 1))).toSorted();
}

function idOf(text: string, place: string): string {
  try {
    const record: unknown = JSON.parse(text);
    if (typeof record === "object" && record !== null && "id" in record) return String(record.id);
  } catch (cause) {
    throw new Error(`${place} is no JSON: ${text.slice(0, 100)}`, { cause });
  }
  throw new Error(`${place} has no id: ${text.slice(0, 100)}`);
}

function count(counts: Map<string, number>, id: string): void {
  counts.set(id, (counts.get(id) ?? 0) + 1);
}
