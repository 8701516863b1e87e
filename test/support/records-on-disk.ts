/**
 * What is in the log of a data directory that no process uses.
 */
import { join } from "node:path";
import { realClock } from "../../src/host/clock.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { openLogReader } from "../../src/wal/directory-reader.ts";
import { type Column, copyOf } from "../../src/contract/record.ts";

/** A record as text. */
export interface LoggedRecord {
  readonly key: string | undefined;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
}

/** All records, in order; rejects when one is missing. */
export async function recordsOnDisk(directory: string): Promise<readonly LoggedRecord[]> {
  const reader = await openLogReader({
    files: realFiles,
    clock: realClock,
    directory: join(directory, "log"),
  });
  const records: LoggedRecord[] = [];
  for await (const item of reader.read(0, new AbortController().signal)) {
    if (item.kind !== "records") throw new Error(`records ${item.from} to ${item.to} are lost`);
    const { block } = item;
    for (let i = 0; i < block.count; i++)
      records.push({
        key: textOf(block.keys, i),
        value: Buffer.from(copyOf(block, i)).toString(),
        headers: JSON.parse(textOf(block.headers, i) ?? "null") ?? undefined,
      });
  }
  await reader.close();
  return records;
}

function textOf(column: Column | undefined, index: number): string | undefined {
  if (column === undefined) return undefined;
  const start = index === 0 ? 0 : column.ends[index - 1];
  const text = Buffer.from(column.bytes.subarray(start, column.ends[index])).toString();
  return text === "" ? undefined : text;
}
