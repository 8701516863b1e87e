/**
 * What a file sink remembers, and what it does with what it finds in its directory. Pure.
 *
 * Two things survive a crash. The *token* lies in the ledger's newest commit: the open part and how many bytes of it
 * are committed. The *marker* `.holdfast` lies in the directory: whose it is and which part was finished last. A part
 * may be finished without a commit (by age, at stop), so the token alone cannot say whether a part that is no longer
 * open was finished, and perhaps taken away by its reader since, or lost. The marker is durable before the
 * next part is made, which makes it certain.
 */
import { HoldfastError } from "../errors.ts";

/** A part that is being written. */
export interface PartState {
  /** Name that it gets when it is finished; empty while there is no part. */
  readonly part: string;
  readonly bytes: number;
  /** Wall time of its first row, milliseconds since 1970. */
  readonly openedAtMs: number;
}

/** State of a sink between two parts. */
export const NO_PART: PartState = Object.freeze({ part: "", bytes: 0, openedAtMs: 0 });

/** What the commit stores. `finish`: the part is to be renamed once this is durable. */
export interface PartToken extends PartState {
  readonly finish: boolean;
}

/** Content of the marker file. */
export interface Marker {
  readonly writerId: string;
  readonly sink: string;
  readonly epoch: number;
  /** Name of this writer's open part in the directory. */
  readonly open: string;
  /** Name of the part that was finished last; empty before the first. */
  readonly finished: string;
}

/** What recovery looks at. */
export interface Findings {
  readonly sink: string;
  readonly directory: string;
  readonly writerId: string;
  readonly epoch: number;
  /** Newest committed batch of the pipeline, 0 before the first. */
  readonly lastBatchId: number;
  /** Preferred names of an open part, the first that is free is taken. */
  readonly openNames: readonly string[];
  readonly token: PartToken | undefined;
  readonly marker: Marker | undefined;
  /** Sizes of the files in the directory that matter here. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** What to do before the first write. */
export interface Recovery {
  readonly open: string;
  /** Committed bytes of the open part; what lies behind them is cut. */
  readonly keep: PartState;
  /** The kept part is to be finished now. */
  readonly finish: boolean;
  /** Name of the newest finished part, for the marker. */
  readonly finished: string;
  /** An open part of this writer holds only bytes that were never committed. */
  readonly remove: boolean;
  /** An open part of somebody else that stays where it is. */
  readonly leftAlone: string | undefined;
}

/**
 * Decides what becomes of an open part.
 *
 * @throws SINK_CONFLICT when another writer or a newer instance has used the directory, SINK_BEHIND when committed
 * bytes are missing.
 */
export function recover(findings: Findings): Recovery {
  const { token, marker } = findings;
  const isOurs =
    marker !== undefined && marker.writerId === findings.writerId && marker.sink === findings.sink;
  if (isOurs) checkEpoch(findings, marker);
  if (token === undefined) return isOurs ? withoutCommit(findings, marker) : begin(findings, "");
  if (marker !== undefined && !isOurs) throw takenOver(findings, marker);
  if (marker !== undefined) return resume(findings, token, marker);
  if (token.part === "") return begin(findings, "");
  throw missing(findings, token, "no sign of this sink");
}

function begin(findings: Findings, finished: string): Recovery {
  const { openNames, sizes, directory } = findings;
  const open = openNames.find((name) => !sizes.has(name));
  if (open === undefined) {
    throw new HoldfastError(
      "SINK_CONFLICT",
      `${findings.sink}: ${directory} holds ${openNames.length} open parts of others, a new one would be one too many`,
      {
        fix: `look at ${openNames.join(", ")} and move them away`,
      },
    );
  }
  const leftAlone = openNames.find((name) => sizes.has(name));
  return { open, keep: NO_PART, finish: false, finished, remove: false, leftAlone };
}

/** The directory is ours and no commit names this sink. */
function withoutCommit(findings: Findings, { open, finished }: Marker): Recovery {
  // Before the first commit of the pipeline nothing in an open part can be committed. Later the sink was taken
  // out of the pipeline and put back: what its open part held then may be, so that stays.
  if (findings.lastBatchId > 0 && (findings.sizes.get(open) ?? 0) > 0)
    return begin(findings, finished);
  return {
    open,
    keep: NO_PART,
    finish: false,
    finished,
    remove: findings.sizes.has(open),
    leftAlone: undefined,
  };
}

function resume(findings: Findings, token: PartToken, marker: Marker): Recovery {
  const { open, finished } = marker;
  const openBytes = findings.sizes.get(open);
  const none = { open, keep: NO_PART, finish: false, finished, leftAlone: undefined };
  // No committed byte is in an open part: whatever is there will be written again.
  if (token.part === "" || token.part === finished)
    return { ...none, remove: openBytes !== undefined };
  if (firstOffsetOf(finished) > firstOffsetOf(token.part)) {
    throw new HoldfastError(
      "SINK_CONFLICT",
      `${findings.sink}: ${findings.directory} has finished ${finished}, the ledger's newest part is ${token.part}: a copy of this data directory has written here`,
      {
        fix: "give one of the two another directory",
      },
    );
  }
  if (openBytes !== undefined) {
    if (openBytes < token.bytes) throw missing(findings, token, `${openBytes} bytes`);
    const { part, bytes, openedAtMs } = token;
    return { ...none, keep: { part, bytes, openedAtMs }, finish: token.finish, remove: false };
  }
  // Renamed, and the marker was not written any more: the next part cannot have been made yet.
  if (findings.sizes.get(token.part) === token.bytes)
    return { ...none, finished: token.part, remove: false };
  throw missing(findings, token, "neither its open nor its finished file");
}

function checkEpoch({ sink, directory, epoch }: Findings, marker: Marker): void {
  if (marker.epoch <= epoch) return;
  throw new HoldfastError(
    "SINK_CONFLICT",
    `${sink}: ${directory} was used by epoch ${marker.epoch} of this pipeline, this is epoch ${epoch}: a newer copy of the data directory exists`,
    {
      fix: "give one of the two another directory",
    },
  );
}

function takenOver({ sink, directory, writerId }: Findings, marker: Marker): HoldfastError {
  return new HoldfastError(
    "SINK_CONFLICT",
    `${sink}: ${directory} belongs to sink ${marker.sink} of writer ${short(marker.writerId)} now, this is writer ${short(writerId)}`,
    {
      fix: "give one of the two another directory",
    },
  );
}

function missing(
  { sink, directory }: Findings,
  { part, bytes }: PartToken,
  found: string,
): HoldfastError {
  return new HoldfastError(
    "SINK_BEHIND",
    `${sink}: ${bytes} bytes of part ${part} are committed, ${directory} has ${found}`,
    {
      fix: "bring the directory back; or give the sink another name, then it begins anew with the next record",
    },
  );
}

/** The offset in a part's name; the empty name is before all. */
function firstOffsetOf(part: string): number {
  return part === "" ? -1 : Number.parseInt(part, 10);
}

/** The part of a writer's identity that names and messages show. */
export function short(writerId: string): string {
  return writerId.slice(0, WRITER_CHARACTERS);
}

const WRITER_CHARACTERS = 8;

export function encodeToken(token: PartToken): Uint8Array {
  return Buffer.from(JSON.stringify(token));
}

/**
 * The token of a commit.
 *
 * @throws SINK_CONFLICT when it is not one of a file sink
 */
export function decodeToken(sink: string, bytes: Uint8Array): PartToken {
  const value = parsed(bytes);
  if (isRecord(value)) {
    const { part, bytes: partBytes, openedAtMs, finish } = value;
    if (
      typeof part === "string" &&
      typeof partBytes === "number" &&
      typeof openedAtMs === "number" &&
      typeof finish === "boolean"
    ) {
      return { part, bytes: partBytes, openedAtMs, finish };
    }
  }
  throw new HoldfastError(
    "SINK_CONFLICT",
    `${sink}: the commit holds ${bytes.length} bytes for this sink that are no token of a file sink: did it have another type?`,
    {
      fix: "give the sink a name that was not used before",
    },
  );
}

export function encodeMarker(marker: Marker): Uint8Array {
  return Buffer.from(`${JSON.stringify(marker)}\n`);
}

/** The content of a marker file, or undefined when it is none. */
export function decodeMarker(bytes: Uint8Array): Marker | undefined {
  const value = parsed(bytes);
  if (!isRecord(value)) return undefined;
  const { writerId, sink, epoch, open, finished } = value;
  if (typeof writerId !== "string" || typeof sink !== "string" || typeof open !== "string")
    return undefined;
  if (typeof epoch !== "number" || typeof finished !== "string") return undefined;
  return { writerId, sink, epoch, open, finished };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    // Not JSON at all: the caller says what that means.
    return undefined;
  }
}
