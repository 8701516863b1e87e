/**
 * Finds the ledger in a directory: reads only, decides what counts.
 */
import { join } from "node:path";

import { codeOf } from "../errors.ts";
import type { DirectoryEntry, Files } from "../host/files.ts";
import { decodeSegmentHeader, parseFileName, SEGMENT_HEADER_FIELDS_BYTES } from "./format.ts";
import type { LedgerState } from "./ledger-facts.ts";
import { parseLedgerFileName, readLedgerFile, type ReadLedgerFile } from "./ledger-file.ts";
import { NEW_LEDGER } from "./ledger-state.ts";

/** Segments whose headers are tried for the identity of a log whose ledger is gone. */
const SEGMENTS_TRIED_MAX = 8;

interface FileOnDisk {
  readonly path: string;
  readonly bytes: number;
}

/** What a directory holds. */
export interface FoundLedger {
  readonly state: LedgerState;
  readonly recovery:
    | { readonly kind: "new" | "recovered" | "lost" }
    | { readonly kind: "damaged"; readonly lostFacts: number };
  readonly logUuid: Uint8Array | undefined;
  readonly highestEpoch: number;
  /** Highest number in any name, also of files that are not used. */
  readonly highestNumber: number;
  /** A file that nobody has begun: it can become the next one at once. */
  readonly blank: FileOnDisk | undefined;
  /** Files to remove once the state is durable elsewhere. Damaged ones stay until the opening after this one. */
  readonly superseded: readonly string[];
}

/** What data segments say: they name the log even when its ledger is gone. */
interface FoundSegments {
  readonly exist: boolean;
  readonly logUuid: Uint8Array | undefined;
  readonly epoch: number;
}

interface ReadFile extends FileOnDisk {
  readonly fileNumber: number;
  readonly content: ReadLedgerFile;
}

async function listOrEmpty(files: Files, directory: string): Promise<readonly DirectoryEntry[]> {
  try {
    return await files.list(directory);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Reads the headers of the newest segments until one is whole. */
async function findSegments(files: Files, logDirectory: string): Promise<FoundSegments> {
  const segments = (await listOrEmpty(files, logDirectory)).flatMap(({ name }) => {
    const parsed = parseFileName(name);
    return parsed.kind === "segment" ? [{ name, segmentId: parsed.segmentId }] : [];
  });
  const newestFirst = segments.toSorted((a, b) => b.segmentId - a.segmentId);
  for (const { name } of newestFirst.slice(0, SEGMENTS_TRIED_MAX)) {
    const decoded = decodeSegmentHeader(
      await readStart(files, join(logDirectory, name), SEGMENT_HEADER_FIELDS_BYTES),
    );
    if (decoded.kind === "valid")
      return { exist: true, logUuid: decoded.header.logUuid, epoch: decoded.header.epoch };
  }
  return { exist: segments.length > 0, logUuid: undefined, epoch: 0 };
}

async function readStart(files: Files, path: string, bytes: number): Promise<Uint8Array> {
  const handle = await files.open(path, "read");
  try {
    const buffer = new Uint8Array(bytes);
    const count = await handle.read(buffer, 0, bytes, 0);
    return buffer.subarray(0, count);
  } finally {
    await handle.close();
  }
}

/** A running writer blanks and renames a file only after its successor, which is read later, was durable. */
async function readUnlessGone(files: Files, path: string): Promise<Uint8Array | undefined> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Looks through all ledger files. The newest one with a whole first entry counts: a file is left only after
 * the first entry of its successor, which holds everything before it, is durable. Needs no lock: oldest files are
 * read first, so beside a running writer the state is one that was durable at some time since the call.
 */
export async function findLedger(
  files: Files,
  directory: string,
  logDirectory: string,
): Promise<FoundLedger> {
  const segments = await findSegments(files, logDirectory);
  const read: ReadFile[] = [];
  for (const { name } of await listOrEmpty(files, directory)) {
    const fileNumber = parseLedgerFileName(name);
    if (fileNumber === undefined) continue;
    const path = join(directory, name);
    const bytes = await readUnlessGone(files, path);
    if (bytes === undefined) continue;
    read.push({
      path,
      bytes: bytes.length,
      fileNumber,
      content: readLedgerFile(bytes, fileNumber, segments.logUuid),
    });
  }
  return decide(read, segments);
}

function decide(read: readonly ReadFile[], segments: FoundSegments): FoundLedger {
  const newestFirst = read.toSorted((a, b) => b.fileNumber - a.fileNumber);
  const newest = newestFirst.find((file) => file.content.kind === "ledger");
  const epochs = read.map(({ content }) => (content.kind === "blank" ? 0 : content.epoch));
  const blank = read.find((file) => file.content.kind === "blank");
  const common = {
    blank,
    highestEpoch: Math.max(segments.epoch, ...epochs),
    highestNumber: Math.max(0, ...read.map((file) => file.fileNumber)),
  };
  if (newest?.content.kind !== "ledger") {
    const unreadable = read.flatMap(({ content }) =>
      content.kind === "unreadable" && content.logUuid !== undefined ? [content.logUuid] : [],
    );
    const kind = segments.exist ? ("lost" as const) : ("new" as const);
    return {
      ...common,
      state: NEW_LEDGER,
      recovery: { kind },
      logUuid: segments.logUuid ?? unreadable[0],
      superseded: [],
    };
  }
  const { state, logUuid } = newest.content;
  const lostFacts =
    newest.content.lostFacts + lostBehind(newestFirst, newest.fileNumber, state.factCount);
  const recovery =
    lostFacts === 0 ? { kind: "recovered" as const } : { kind: "damaged" as const, lostFacts };
  const others = newestFirst.filter(
    (file) => file !== blank && (lostFacts === 0 || file.fileNumber < newest.fileNumber),
  );
  return { ...common, state, recovery, logUuid, superseded: others.map((file) => file.path) };
}

/** Facts in files that followed this one and whose state cannot be read. */
function lostBehind(read: readonly ReadFile[], fileNumber: number, factCount: number): number {
  const counts = read.map(({ content, ...file }) =>
    content.kind === "unreadable" && file.fileNumber > fileNumber ? content.factCount : 0,
  );
  return Math.max(0, Math.max(0, ...counts) - factCount);
}
