/**
 * The log's directory as somebody sees it who neither holds the lock nor is told anything: which segments there are,
 * and up to where their records are durable for certain.
 */
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import {
  ALIGNMENT_BYTES,
  parseFileName,
  sameBytes,
  saltOf,
  SEGMENT_HEADER_BYTES,
  SEGMENT_KIND,
  type SegmentHeader,
} from "./format.ts";
import { hasExpired, isOfEarlierLife, isSamePlace, readHeader } from "./header-reading.ts";
import { HeaderWalk } from "./header-walk.ts";
import { Segment, type SegmentIdentity } from "./segment.ts";

/** Refreshes in a row that found nothing new, before a place without an entry is searched behind; doubles. */
const QUIET_REFRESHES = 16;

interface Viewed {
  readonly segment: Segment;
  /** Undefined when the header block is damaged: name and uuid stand in for it. */
  readonly header: SegmentHeader | undefined;
  readonly walk: HeaderWalk;
}

/** Segments by id, with the ends of their durable records. */
export class DirectoryView {
  readonly #files: Files;
  readonly #directory: string;
  /** By file name; a name says base and id, so it never comes to mean another segment. */
  #known: ReadonlyMap<string, Viewed> = new Map();
  #logUuid: Uint8Array | undefined;
  #segments: readonly Segment[] = [];
  #durableEnd = 0;
  #quietCount = 0;
  #searchAt = 0;
  #refreshing: Promise<void> | undefined;

  constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Offsets below are durable or lost. Never goes back. */
  get durableEnd(): number {
    return this.#durableEnd;
  }

  /** The first segment whose end lies behind `offset`. */
  segmentAt(offset: number): Segment | undefined {
    return this.#segments.find((segment) => segment.end.offset > offset);
  }

  /**
   * Looks again. `toldEnd` is what the writer itself says is durable, 0 where it says nothing; it must have been read
   * before this is called. Rejects with ENOENT when there is no such directory.
   */
  async refresh(toldEnd: number): Promise<void> {
    while (this.#refreshing !== undefined) await this.#refreshing.catch(() => undefined);
    this.#refreshing = this.#refreshOnce(toldEnd);
    try {
      await this.#refreshing;
    } finally {
      this.#refreshing = undefined;
    }
  }

  /** Whether the name of a segment is gone: it is not worth a try to read it. */
  async isGone({ identity }: Segment): Promise<boolean> {
    return (await this.#files.stat(this.#pathOf(identity.fileName))) === undefined;
  }

  /** Whether the file of a segment has begun another life or is gone: what it held has expired. */
  async hasExpired({ identity }: Segment): Promise<boolean> {
    if (!(await hasExpired(this.#files, this.#pathOf(identity.fileName), identity))) return false;
    // Its name may come back in a listing that is older than this.
    this.#known = new Map([...this.#known].filter(([name]) => name !== identity.fileName));
    return true;
  }

  async close(): Promise<void> {
    await this.#refreshing?.catch(() => undefined);
    for (const { walk } of this.#known.values()) await walk.close();
  }

  async #refreshOnce(toldEnd: number): Promise<void> {
    const viewed = await this.#list();
    const live = await this.#withoutCopies(viewed);
    const newest = live.at(-1);
    for (const [index, each] of live.entries()) {
      const next = live[index + 1];
      if (next === undefined) continue;
      settleEnd(each.segment, next);
      await each.walk.close();
    }
    if (newest !== undefined) await this.#followNewest(newest, toldEnd);
    this.#segments = live.map(({ segment }) => segment);
  }

  async #list(): Promise<readonly Viewed[]> {
    const names = (await this.#files.list(this.#directory)).map(({ name }) => name);
    const known = new Map<string, Viewed>();
    for (const name of names.filter((each) => parseFileName(each).kind === "segment")) {
      const viewed = this.#known.get(name) ?? (await this.#identify(name));
      if (viewed !== undefined) known.set(name, viewed);
    }
    for (const [name, { walk }] of this.#known) if (!known.has(name)) await walk.close();
    this.#known = known;
    return [...known.values()].toSorted(
      (a, b) => a.segment.identity.segmentId - b.segment.identity.segmentId,
    );
  }

  /** Undefined when it is gone again, is another log's, or is none that this program reads. */
  async #identify(fileName: string): Promise<Viewed | undefined> {
    const parsed = parseFileName(fileName);
    const path = this.#pathOf(fileName);
    const found = await readHeader(this.#files, path);
    if (parsed.kind !== "segment" || found.kind === "gone" || found.kind === "unsupported")
      return undefined;
    if (found.kind === "invalid") return await this.#nameless(fileName, parsed);
    const { header } = found;
    this.#logUuid ??= header.logUuid;
    if (header.kind !== SEGMENT_KIND.data || !sameBytes(header.logUuid, this.#logUuid))
      return undefined;
    if (await isOfEarlierLife(this.#files, path, { ...header, ...parsed, header }))
      return await this.#nameless(fileName, parsed);
    return header.segmentId === parsed.segmentId
      ? this.#viewed({ ...header, fileName }, header)
      : undefined;
  }

  /** What the name says, as soon as another segment has told the log's uuid. */
  async #nameless(
    fileName: string,
    { baseOffset, segmentId }: { readonly baseOffset: number; readonly segmentId: number },
  ): Promise<Viewed | undefined> {
    const logUuid = this.#logUuid;
    const stat = await this.#files.stat(this.#pathOf(fileName));
    if (logUuid === undefined || stat === undefined) return undefined;
    const salt = saltOf(segmentId, logUuid);
    return this.#viewed({
      segmentId,
      baseOffset,
      salt,
      epoch: 0,
      capacityBytes: stat.bytes,
      fileName,
    });
  }

  #viewed(from: SegmentIdentity, header?: SegmentHeader): Viewed {
    const { baseOffset, capacityBytes, epoch, fileName, salt, segmentId } = from;
    const identity = { segmentId, baseOffset, salt, epoch, capacityBytes, fileName };
    const start = { position: SEGMENT_HEADER_BYTES, offset: baseOffset };
    const walk = new HeaderWalk(this.#files, this.#pathOf(fileName), identity);
    return { segment: new Segment(identity, start), header, walk };
  }

  #pathOf(fileName: string): string {
    return `${this.#directory}/${fileName}`;
  }

  /**
   * A small tail is moved at opening: while both files are there the old one counts. One without records says nothing,
   * and the segment behind it begins at the same place.
   */
  async #withoutCopies(viewed: readonly Viewed[]): Promise<readonly Viewed[]> {
    const live: Viewed[] = [];
    for (const each of viewed) {
      const before = live.at(-1);
      if (before === undefined || !isSamePlace(before.header, each.header)) {
        live.push(each);
        continue;
      }
      await this.#advance(before, false);
      if (before.walk.hasRecords) continue;
      live.splice(-1, 1, each);
    }
    return live;
  }

  async #followNewest({ segment, walk }: Viewed, toldEnd: number): Promise<void> {
    const isThorough = this.#quietCount === this.#searchAt;
    const before = walk.end.position;
    await this.#advance({ segment, walk }, isThorough);
    const hasMoved = walk.end.position > before;
    this.#quietCount = hasMoved ? 0 : this.#quietCount + 1;
    if (hasMoved) this.#searchAt = QUIET_REFRESHES;
    else if (isThorough) this.#searchAt = Math.max(QUIET_REFRESHES, this.#searchAt * 2);
    this.#durableEnd = Math.max(this.#durableEnd, walk.proven.offset, toldEnd);
    segment.end = this.#endIn(walk, segment);
  }

  /** The place in the newest segment that belongs to the durable end. */
  #endIn({ end, proven }: HeaderWalk, { identity }: Segment): Segment["end"] {
    const offset = this.#durableEnd;
    if (offset <= proven.offset) return proven;
    if (offset === end.offset) return end;
    // There is more than the headers show: reading it tells what is damaged.
    return { position: identity.capacityBytes - ALIGNMENT_BYTES, offset };
  }

  async #advance(
    { segment, walk }: Pick<Viewed, "segment" | "walk">,
    isThorough: boolean,
  ): Promise<void> {
    try {
      await walk.advance(isThorough);
    } catch (cause) {
      // Recycled since it was listed: the next refresh does not see it any more.
      if (codeOf(cause) !== "ENOENT") throw cause;
      segment.end = walk.proven;
    }
  }
}

/** Records from where the next segment begins are void here; and all before were durable when it was made, or lost. */
function settleEnd(segment: Segment, { header, segment: next }: Viewed): void {
  const { capacityBytes, salt } = segment.identity;
  const isLinked = header?.previousSalt === salt;
  const offset = isLinked ? header.previousEnd : next.identity.baseOffset;
  segment.end = { position: capacityBytes - ALIGNMENT_BYTES, offset };
}
