/**
 * One file of the ledger: its name, its entries, and what a reader makes of its bytes.
 *
 * ```
 * 0         4096                                                            capacity
 * | header  | SNAPSHOT: state before | FACTS | FACTS | ...        | zeros   |
 * ```
 * Header and entries are those of the log (`format.ts`, `entry.ts`), kind 2. An entry's `firstOffset` is
 * the number of facts before it since the ledger was born, so a missing entry shows.
 */
import { HoldfastError } from "../errors.ts";
import {
  bodyIsValid,
  decodeEntryHeader,
  encodeEntry,
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE,
  entryDiskBytes,
  type EntryHeader,
} from "./entry.ts";
import {
  ALIGNMENT_BYTES,
  decodeSegmentHeader,
  encodeSegmentHeader,
  saltOf,
  SEGMENT_HEADER_BYTES,
  SEGMENT_KIND,
  type SegmentHeader,
} from "./format.ts";
import {
  decodeFacts,
  decodeSnapshot,
  encodeFacts,
  encodeSnapshot,
  type Fact,
  type LedgerState,
} from "./ledger-facts.ts";
import { applyFacts } from "./ledger-state.ts";

/** Size of a ledger file, unless the state alone needs more. */
export const LEDGER_FILE_BYTES: number = 1024 * 1024;

/** `ledger-<number, 8 hex>.hfl`; numbers are never reused. */
export function ledgerFileName(fileNumber: number): string {
  return `ledger-${fileNumber.toString(16).padStart(8, "0")}.hfl`;
}

/** Number in a name that {@link ledgerFileName} made. */
export function parseLedgerFileName(name: string): number | undefined {
  const match = /^ledger-([0-9a-f]{8})\.hfl$/.exec(name);
  return match === null ? undefined : Number.parseInt(match[1] ?? "", 16);
}

/** What identifies a ledger file to its entries. */
export interface LedgerFileIdentity {
  readonly fileNumber: number;
  readonly logUuid: Uint8Array;
  /** Opening of the ledger that made it. */
  readonly epoch: number;
  readonly capacityBytes: number;
}

/** Bytes to write, and the checksum that the next entry repeats. */
export interface EncodedEntry {
  readonly bytes: Uint8Array;
  readonly headerCrc: number;
}

/** The beginning of a file: header block and snapshot, to be written in one call. */
export function encodeLedgerStart(
  identity: LedgerFileIdentity,
  state: LedgerState,
  wallMs: number,
): EncodedEntry {
  const { fileNumber, logUuid, epoch, capacityBytes } = identity;
  const salt = saltOf(fileNumber, logUuid);
  const header = encodeSegmentHeader({
    kind: SEGMENT_KIND.ledger,
    logUuid,
    segmentId: fileNumber,
    baseOffset: state.factCount,
    salt,
    epoch,
    capacityBytes,
    createdWallMs: wallMs,
    previousEnd: state.factCount,
    previousSalt: 0,
  });
  const snapshot = encodeEntry(
    encodeSnapshot(state),
    {
      ...entryFields(identity, state.factCount, 0, wallMs),
      type: ENTRY_TYPE.snapshot,
      recordCount: 0,
    },
    salt,
  );
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES + snapshot.bytes.length);
  bytes.set(header, 0);
  bytes.set(snapshot.bytes, SEGMENT_HEADER_BYTES);
  return { bytes, headerCrc: snapshot.headerCrc };
}

/** Facts as one entry. `firstFact` is the number of facts before it. */
export function encodeLedgerEntry(
  identity: LedgerFileIdentity,
  facts: readonly Fact[],
  at: { readonly firstFact: number; readonly previousHeaderCrc: number; readonly wallMs: number },
): EncodedEntry {
  const fields = {
    ...entryFields(identity, at.firstFact, at.previousHeaderCrc, at.wallMs),
    type: ENTRY_TYPE.facts,
    recordCount: facts.length,
  };
  return encodeEntry(encodeFacts(facts), fields, saltOf(identity.fileNumber, identity.logUuid));
}

interface EntryCommon {
  readonly firstOffset: number;
  readonly durableEnd: number;
  readonly baseTimeMs: number;
  readonly epoch: number;
  readonly segmentId: number;
  readonly previousHeaderCrc: number;
  readonly payloadBytes: number;
  readonly blockCount: number;
}

/** One write is in flight at most, so everything before an entry is durable when it is built. */
function entryFields(
  identity: LedgerFileIdentity,
  firstFact: number,
  previousHeaderCrc: number,
  wallMs: number,
): EntryCommon {
  return {
    firstOffset: firstFact,
    durableEnd: firstFact,
    baseTimeMs: wallMs,
    epoch: identity.epoch,
    segmentId: identity.fileNumber,
    previousHeaderCrc,
    payloadBytes: 0,
    blockCount: 0,
  };
}

/** What the bytes of a ledger file are. */
export type ReadLedgerFile =
  /** Nothing was ever durable in it: prepared, or torn at its first write. */
  | { readonly kind: "blank" }
  /** It has begun, and its state cannot be read. `factCount` is what its entries count up to, 0 without any. */
  | {
      readonly kind: "unreadable";
      readonly logUuid: Uint8Array | undefined;
      readonly epoch: number;
      readonly factCount: number;
    }
  | {
      readonly kind: "ledger";
      readonly logUuid: Uint8Array;
      readonly state: LedgerState;
      /** Highest epoch in its header and entries. */
      readonly epoch: number;
      /** Where the next entry would begin. */
      readonly endBytes: number;
      /** Facts that are gone with a damaged entry. */
      readonly lostFacts: number;
      /** Whether the header block is damaged. */
      readonly headerDamaged: boolean;
    };

/**
 * Reads a ledger file. `logUuid` is that of the directory, if known: with it a file whose header block is
 * damaged can still be read. Throws LOG_VERSION for a file that a newer program wrote.
 */
export function readLedgerFile(
  bytes: Uint8Array,
  fileNumber: number,
  logUuid: Uint8Array | undefined,
): ReadLedgerFile {
  const header = readHeader(bytes, fileNumber);
  const uuid = header?.logUuid ?? logUuid;
  const seed = uuid && seedOf(header?.segmentId ?? fileNumber, uuid);
  const start = seed && validEntryAt(bytes, SEGMENT_HEADER_BYTES, seed);
  if (seed === undefined || start?.type !== ENTRY_TYPE.snapshot)
    return withoutState(bytes, header, seed);
  const folded = foldEntries(bytes, seed, start);
  const epoch = Math.max(header?.epoch ?? 0, folded.epoch);
  return {
    kind: "ledger",
    logUuid: seed.logUuid,
    headerDamaged: header === undefined,
    ...folded,
    epoch,
  };
}

function readHeader(bytes: Uint8Array, fileNumber: number): SegmentHeader | undefined {
  const decoded = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES));
  if (decoded.kind === "unsupported") {
    throw new HoldfastError("LOG_VERSION", `${ledgerFileName(fileNumber)}: ${decoded.reason}`, {
      fix: "run the version of Holdfast that wrote it, or a newer one",
    });
  }
  return decoded.kind === "valid" && decoded.header.kind === SEGMENT_KIND.ledger
    ? decoded.header
    : undefined;
}

/**
 * Header and snapshot are written in one call. A whole header without a snapshot may be the torn rest of that call:
 * the file before it is still there then, so the caller looks for it first.
 */
function withoutState(
  bytes: Uint8Array,
  header: SegmentHeader | undefined,
  seed: Seed | undefined,
): ReadLedgerFile {
  const factCount = seed === undefined ? 0 : countFacts(bytes, seed);
  const isWritten = bytes.subarray(0, SEGMENT_HEADER_BYTES).some((byte) => byte !== 0);
  if (!isWritten && factCount === 0) return { kind: "blank" };
  return { kind: "unreadable", logUuid: header?.logUuid, epoch: header?.epoch ?? 0, factCount };
}

interface Seed {
  readonly segmentId: number;
  readonly logUuid: Uint8Array;
  readonly salt: number;
}

function seedOf(segmentId: number, logUuid: Uint8Array): Seed {
  return { segmentId, logUuid, salt: saltOf(segmentId, logUuid) };
}

/** How many facts the valid entries behind a lost snapshot count up to: they prove that it was durable. */
function countFacts(bytes: Uint8Array, seed: Seed): number {
  let factCount = 0;
  for (let at = SEGMENT_HEADER_BYTES; at < bytes.length; at += ALIGNMENT_BYTES) {
    const header = validEntryAt(bytes, at, seed);
    if (header?.type === ENTRY_TYPE.facts) factCount = header.firstOffset + header.recordCount;
  }
  return factCount;
}

function validEntryAt(bytes: Uint8Array, at: number, seed: Seed): EntryHeader | undefined {
  const header = decodeEntryHeader(bytes, at, seed.salt);
  const isOurs = header !== undefined && header.segmentIdLow === seed.segmentId % 2 ** 32;
  return isOurs && bodyIsValid(bytes, at, header, seed.salt) ? header : undefined;
}

function bodyAt(bytes: Uint8Array, at: number, header: EntryHeader): Uint8Array {
  return bytes.subarray(at + ENTRY_HEADER_BYTES, at + header.entryBytes);
}

interface Folded {
  readonly state: LedgerState;
  readonly epoch: number;
  readonly endBytes: number;
  readonly lostFacts: number;
}

/** Adds up the snapshot and every valid entry behind it. */
function foldEntries(bytes: Uint8Array, seed: Seed, start: EntryHeader): Folded {
  let state = decodeSnapshot(bodyAt(bytes, SEGMENT_HEADER_BYTES, start));
  let epoch = Math.max(start.epoch, state.epoch);
  let at = SEGMENT_HEADER_BYTES + entryDiskBytes(start.entryBytes);
  let endBytes = at;
  let lostFacts = 0;
  while (at < bytes.length) {
    const header = validEntryAt(bytes, at, seed);
    // One write is in flight at most: a valid entry behind an invalid block proves that the block was
    // durable once. So this is damage and no torn tail, and the walk goes on to find it.
    if (header?.type !== ENTRY_TYPE.facts || header.firstOffset < state.factCount) {
      at += ALIGNMENT_BYTES;
      continue;
    }
    lostFacts += header.firstOffset - state.factCount;
    state = applyFacts(
      { ...state, factCount: header.firstOffset },
      decodeFacts(bodyAt(bytes, at, header)),
    );
    epoch = Math.max(epoch, header.epoch);
    at += entryDiskBytes(header.entryBytes);
    endBytes = at;
  }
  return { state, epoch, endBytes, lostFacts };
}
