/**
 * Data directories for the log's tools, and how to damage them.
 */
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createIngest, type IngestOptions, type RecordInput } from "../../src/index.ts";
import { decodeSegmentHeader } from "../../src/wal/format.ts";
import { decodeEntryHeader, entryDiskBytes } from "../../src/wal/entry.ts";
import { silentLogger } from "../support/logger.ts";
import { PushReceiver } from "../support/push-receiver.ts";

/** Starting programs takes its time on a busy machine. */
export const LIMIT = { timeout: 60_000 };

const MIB = 1024 * 1024;

/** What to put into a log. */
export interface Filling {
  readonly recordCount: number;
  /** Records that are stored at once. @defaultValue 1 */
  readonly blockRecords?: number;
  /** Records of 1 MiB. @defaultValue false */
  readonly isLarge?: boolean;
  readonly more?: Partial<IngestOptions<"meters" | "gates">>;
}

/** Stores records in `DIRECTORY/data`, in turn from two receivers, and stops in order. */
export async function filledLog(directory: string, filling: Filling): Promise<void> {
  const { recordCount, blockRecords = 1, isLarge = false, more } = filling;
  const [meters, gates] = [new PushReceiver("meters"), new PushReceiver("gates")];
  const ingest = createIngest({
    directory: join(directory, "data"),
    receivers: [meters, gates],
    pipelines: [],
    log: { bytesMax: 64 * MIB, segmentBytes: 4 * MIB },
    logger: silentLogger,
    ...more,
  });
  await ingest.start();
  for (let at = 0; at < recordCount; at += blockRecords) {
    const records = Array.from({ length: blockRecords }, (_, index) =>
      isLarge ? { value: megabyte(at + index) } : recordAt(at + index),
    );
    const isGates = (at / blockRecords) % 2 === 1;
    if (isGates) await gates.context.store(records, { channel: "south" });
    else await meters.context.store(records);
  }
  await ingest.stop();
}

/** Record 1 has everything that a record can have, record 2 is no text. */
function recordAt(offset: number): RecordInput {
  const value = JSON.stringify({ n: offset });
  if (offset === 2) return { value: Uint8Array.of(0xff, 0, 2) };
  if (offset !== 1) return { value };
  return { value, key: "k1", timestampMs: 1_764_000_000_000, headers: { site: "süd" } };
}

/** A record of 1 MiB less a little, so that four of them fill a segment of 4 MiB. */
export function megabyte(number: number): string {
  return JSON.stringify({ n: number, text: "x".repeat(MIB - 64) });
}

/** Flips a bit in the body of the entry that holds this record; returns the file's path. */
export async function flipBit(directory: string, offset: number, log = "log"): Promise<string> {
  const folder = join(directory, "data", log);
  const names = (await readdir(folder)).filter((name) => name.startsWith("seg-")).toSorted();
  for (const name of names) {
    const file = await open(join(folder, name), "r+");
    try {
      const bytes = await file.readFile();
      const at = bodyOf(bytes, offset);
      if (at === undefined) continue;
      await file.write(Uint8Array.of((bytes[at] ?? 0) ^ 1), 0, 1, at);
      return join(folder, name);
    } finally {
      await file.close();
    }
  }
  throw new Error(`no segment holds record ${offset}`);
}

function bodyOf(bytes: Uint8Array, offset: number): number | undefined {
  const decoded = decodeSegmentHeader(bytes.subarray(0, 4096));
  if (decoded.kind !== "valid") return undefined;
  for (let at = 4096; at < bytes.length; ) {
    const header = decodeEntryHeader(bytes, at, decoded.header.salt);
    if (header === undefined) return undefined;
    const { firstOffset, recordCount } = header;
    if (firstOffset <= offset && offset < firstOffset + recordCount) return at + 80;
    at += entryDiskBytes(header.entryBytes);
  }
  return undefined;
}
