/**
 * Who a file in the log's directory is.
 */
import { HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { parseFileName, sameBytes, type SegmentHeader, SEGMENT_KIND, saltOf } from "./format.ts";
import { isOfEarlierLife, readHeader } from "./header-reading.ts";
import type { SegmentIdentity } from "./segment.ts";
import { readSeal } from "./segment-scan.ts";
import type { Seal } from "./tables.ts";

/** A file that is a segment of this log. */
export interface Candidate {
  readonly identity: SegmentIdentity;
  readonly sizeBytes: number;
  /** Undefined when it was not needed, or is damaged. */
  readonly header: SegmentHeader | undefined;
  readonly seal: Seal | undefined;
  /** Epoch that the header or the SEAL shows. */
  readonly epoch: number;
}

/** A file whose name is a segment's. */
export interface NamedFile {
  readonly name: string;
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly sizeBytes: number;
}

/** Where candidates are, and whose they have to be. */
export interface CandidateHome {
  readonly files: Files;
  readonly directory: string;
  readonly logUuid: Uint8Array;
}

/**
 * Says who a file is; undefined when it is another log's, with a note. A SEAL proves name and uuid
 * by its checksum, in one small read; else the header decides, and wins over the name. Throws
 * LOG_VERSION.
 */
export async function identify(
  home: CandidateHome,
  file: NamedFile,
  notes: string[],
): Promise<Candidate | undefined> {
  const { name, segmentId, sizeBytes } = file;
  const path = `${home.directory}/${name}`;
  const salt = saltOf(segmentId, home.logUuid);
  const sealed = await readSeal(home.files, path, { segmentId, salt, sizeBytes });
  if (sealed !== undefined && sealed.seal.baseOffset === file.baseOffset)
    return { ...nameless(file, salt), seal: sealed.seal, epoch: sealed.header.epoch };
  const decoded = await readHeader(home.files, path);
  switch (decoded.kind) {
    case "valid":
      if (await isOfEarlierLife(home.files, path, { ...file, ...home, header: decoded.header })) {
        notes.push(`${name}: the header is of an earlier life; the name tells what it holds`);
        return nameless(file, salt);
      }
      return await fromHeader(home, file, { header: decoded.header, notes });
    case "gone":
      return undefined;
    case "invalid":
      notes.push(
        `${name}: the header is damaged (${decoded.reason}); the name tells what it holds`,
      );
      return nameless(file, salt);
    case "unsupported":
      throw new HoldfastError("LOG_VERSION", `${path}: ${decoded.reason}`, {
        fix: "run the version of Holdfast that wrote it, or a newer one",
      });
  }
}

/** What the name alone says. */
function nameless(file: NamedFile, salt: number): Candidate {
  const { baseOffset, name: fileName, segmentId, sizeBytes } = file;
  const identity = { segmentId, baseOffset, salt, epoch: 0, capacityBytes: sizeBytes, fileName };
  return { identity, sizeBytes, header: undefined, seal: undefined, epoch: 0 };
}

async function fromHeader(
  { directory, files, logUuid }: CandidateHome,
  { name: fileName, sizeBytes }: NamedFile,
  found: { readonly header: SegmentHeader; readonly notes: string[] },
): Promise<Candidate | undefined> {
  const { header, notes } = found;
  if (header.kind !== SEGMENT_KIND.data || !sameBytes(header.logUuid, logUuid)) {
    notes.push(`${fileName} belongs to another log; it is left alone`);
    return undefined;
  }
  const { baseOffset, capacityBytes, epoch, salt, segmentId } = header;
  const sealed = await readSeal(files, `${directory}/${fileName}`, { segmentId, salt, sizeBytes });
  const identity = { segmentId, baseOffset, salt, epoch, capacityBytes, fileName };
  return { identity, sizeBytes, header, seal: sealed?.seal, epoch };
}

/** By id, which is by birth. Of two files with one id the one whose name is right counts. */
export function inOrder(candidates: readonly Candidate[], notes: string[]): Candidate[] {
  const byId = new Map<number, Candidate>();
  for (const candidate of candidates) {
    const { fileName, segmentId } = candidate.identity;
    const rival = byId.get(segmentId);
    const parsed = parseFileName(fileName);
    const isNamed = parsed.kind === "segment" && parsed.segmentId === segmentId;
    if (rival === undefined || isNamed) byId.set(segmentId, candidate);
    if (rival === undefined) continue;
    const names = `${fileName} and ${rival.identity.fileName}`;
    notes.push(`${names} are both segment ${segmentId}; one of them is left alone`);
  }
  return [...byId.values()].toSorted((a, b) => a.identity.segmentId - b.identity.segmentId);
}

/**
 * The uuid of the newest readable segment, for a log whose ledger is lost; undefined when there is
 * none.
 */
export async function adoptUuid(files: Files, directory: string): Promise<Uint8Array | undefined> {
  const names = (await files.list(directory)).map((entry) => entry.name);
  for (const name of names.toReversed()) {
    if (parseFileName(name).kind !== "segment") continue;
    const decoded = await readHeader(files, `${directory}/${name}`);
    if (decoded.kind === "valid") return decoded.header.logUuid;
  }
  return undefined;
}
