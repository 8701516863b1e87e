/**
 * Reads ranges of the log back through the page cache: one path for live, catch-up and replay.
 * Checksums are checked at every read; what cannot be had comes as an exact gap, never as silence.
 */
import type { LogGap, LogItem, OffsetSpan } from "../contract/log.ts";
import type { Files } from "../host/files.ts";
import { type ChannelName, type DataBody, decodeData, storedBlock } from "./block-codec.ts";
import { ENTRY_HEADER_BYTES, ENTRY_TYPE, type EntryHeader } from "./entry.ts";
import { startWalk, stepWalk, type Walk } from "./recovery.ts";
import type { Segment } from "./segment.ts";
import { SegmentWindow } from "./segment-window.ts";
import { decodeNames } from "./tables.ts";

/** Window buffers that are kept for the next reader. */
const BUFFERS_KEPT_MAX = 2;
/**
 * A longer buffer, grown for one large entry, is not kept. At full speed an entry is a little over
 * the pause threshold.
 */
const BUFFER_BYTES_KEPT_MAX: number = 5 * 1024 * 1024;
/** Segments with more names forget them when their last reader leaves. */
const NAMES_KEPT_MAX = 1000;

/** Damage that a reader met. */
export interface MetDamage extends LogGap {
  readonly segment: Segment;
  /** The damaged bytes. */
  readonly bytes: Uint8Array;
  readonly position: number;
}

/** What reading needs of the log. */
export interface ReaderHost {
  readonly files: Files;
  readonly directory: string;
  /** The first segment whose end lies behind `offset`, or undefined. */
  segmentAt(offset: number): Segment | undefined;
  /** Why a range that no segment holds is gone. */
  reasonOf(span: OffsetSpan): LogGap["reason"];
  /** A name from elsewhere, when the segment's own table was damaged. */
  nameOf(channelId: number): ChannelName | undefined;
  /** Keeps the fact and a copy, once per range. Awaited before the gap is passed on. */
  damaged(damage: MetDamage): Promise<void>;
  /** A reader left: its segment may be freed now. */
  unpinned(): void;
}

/** Where a reader stands inside one segment. */
interface Cursor {
  readonly segment: Segment;
  readonly window: SegmentWindow;
  readonly span: OffsetSpan;
  walk: Walk;
  /** The next offset to hand out. */
  next: number;
}

/** Reads for any number of callers at once. */
export class LogReader {
  readonly #host: ReaderHost;
  readonly #buffers: Uint8Array[] = [];

  constructor(host: ReaderHost) {
    this.#host = host;
  }

  /** As `Log.read`; `span.to` is at most the durable end. */
  async *read(span: OffsetSpan, signal: AbortSignal): AsyncGenerator<LogItem, void, undefined> {
    let next = span.from;
    while (next < span.to) {
      signal.throwIfAborted();
      const segment = this.#host.segmentAt(next);
      const start = Math.min(segment?.identity.baseOffset ?? span.to, span.to);
      if (segment === undefined || start > next) {
        yield* this.#missing({ from: next, to: start });
        next = start;
        continue;
      }
      const to = Math.min(span.to, segment.end.offset);
      yield* this.#readSegment(segment, { from: next, to }, signal);
      next = to;
    }
  }

  /** One gap per reason: a range may have gone in several ways. */
  *#missing(span: OffsetSpan): Generator<LogItem, void, undefined> {
    yield { kind: "gap", from: span.from, to: span.to, reason: this.#host.reasonOf(span) };
  }

  async *#readSegment(
    segment: Segment,
    span: OffsetSpan,
    signal: AbortSignal,
  ): AsyncGenerator<LogItem, void, undefined> {
    segment.pins += 1;
    const { fileName, salt } = segment.identity;
    const buffer = this.#buffers.pop();
    const window = new SegmentWindow(this.#host.files, `${this.#host.directory}/${fileName}`, {
      salt,
      // What is durable now: an entry that is being written lies behind, and is nobody's business
      // yet.
      limit: segment.end.position,
      ...(buffer === undefined ? {} : { buffer }),
    });
    try {
      yield* this.#walkSegment(
        {
          segment,
          window,
          span,
          walk: startWalk(segment.identity, segment.index.placeBefore(span.from)),
          next: span.from,
        },
        signal,
      );
    } finally {
      await window.close();
      if (this.#buffers.length < BUFFERS_KEPT_MAX && window.buffer.length <= BUFFER_BYTES_KEPT_MAX)
        this.#buffers.push(window.buffer);
      segment.pins -= 1;
      if (segment.pins === 0 && segment.names.size > NAMES_KEPT_MAX) segment.forgetIndex();
      this.#host.unpinned();
    }
  }

  /** Frees the kept buffers. */
  shrink(): void {
    this.#buffers.length = 0;
  }

  async *#walkSegment(
    cursor: Cursor,
    signal: AbortSignal,
  ): AsyncGenerator<LogItem, void, undefined> {
    const { segment, span, window } = cursor;
    const endPosition = segment.end.position;
    let isRetried = false;
    while (cursor.next < span.to && cursor.walk.position < endPosition) {
      const { position } = cursor.walk;
      const sighting = await window.look(position, (header) => isWanted(header, span.from));
      const step = stepWalk(cursor.walk, sighting);
      if (step.kind === "nothing") {
        // Once more from the disk: a flip in memory or on the bus would be no damage.
        if (cursor.walk.hole === undefined && !isRetried) {
          isRetried = true;
          window.forget();
          continue;
        }
        signal.throwIfAborted();
        cursor.walk = step.walk;
        continue;
      }
      isRetried = false;
      cursor.walk = step.walk;
      if (sighting.kind !== "entry") continue;
      if (step.damage !== undefined)
        yield* this.#damage(cursor, {
          position: step.damage.fromPosition,
          toPosition: step.damage.toPosition,
          to: step.damage.to,
        });
      yield* this.#entry(cursor, sighting.header, position);
      signal.throwIfAborted();
    }
    if (cursor.next < span.to) {
      yield* this.#damage(cursor, {
        position: cursor.walk.hole?.position ?? endPosition,
        toPosition: endPosition,
        to: segment.end.offset,
      });
    }
  }

  async *#entry(
    cursor: Cursor,
    header: EntryHeader,
    position: number,
  ): AsyncGenerator<LogItem, void, undefined> {
    const { segment, span, window } = cursor;
    const at = window.indexOf(position);
    if (header.type === ENTRY_TYPE.names) addNames(segment, window.buffer, at, header);
    if (header.recordCount === 0) return;
    segment.index.add({ position, offset: header.firstOffset });
    const end = header.firstOffset + header.recordCount;
    if (end <= cursor.next) return;
    // The next reader of this pipeline begins here or right behind.
    segment.index.hint({ position, offset: header.firstOffset });
    const body =
      header.type === ENTRY_TYPE.data ? decodeData(window.buffer, at, header) : undefined;
    if (body === undefined) {
      yield* this.#damage(cursor, { position, toPosition: cursor.walk.position, to: end });
      return;
    }
    yield* this.#blocks(cursor, body, Math.min(end, span.to));
  }

  async *#blocks(
    cursor: Cursor,
    body: DataBody,
    to: number,
  ): AsyncGenerator<LogItem, void, undefined> {
    const { firstOffset } = body.header;
    for (const head of body.blocks) {
      const blockFrom = firstOffset + head.firstRecord;
      const blockTo = blockFrom + head.count;
      if (blockTo <= cursor.next) continue;
      if (blockFrom >= to) return;
      const name = cursor.segment.names.get(head.channelId) ?? this.#host.nameOf(head.channelId);
      const partTo = Math.min(blockTo, to);
      if (name === undefined) {
        // Whose records these are is lost with every table that named them: nobody can process
        // them.
        yield* this.#damage(cursor, {
          position: cursor.walk.position,
          toPosition: cursor.walk.position,
          to: partTo,
        });
        continue;
      }
      const from = cursor.next;
      cursor.next = partTo;
      yield {
        kind: "records",
        block: storedBlock(body, head, name, { from: from - blockFrom, to: partTo - blockFrom }),
      };
    }
  }

  /** Everything from the cursor up to `to` is lost, as far as it was asked for. */
  async *#damage(
    cursor: Cursor,
    range: { readonly position: number; readonly toPosition: number; readonly to: number },
  ): AsyncGenerator<LogItem, void, undefined> {
    const { segment, span, window } = cursor;
    // The walk began at an entry that may lie before the range: damage there is another reader's.
    const gap = { from: cursor.next, to: Math.min(range.to, span.to) };
    if (gap.from >= gap.to) return;
    const reason = window.unreadableBytes > 0 ? "unreadable" : "damaged";
    const bytes = await window.copy(
      range.position,
      Math.min(range.toPosition, segment.end.position),
    );
    await this.#host.damaged({ ...gap, reason, segment, bytes, position: range.position });
    cursor.next = gap.to;
    yield { kind: "gap", ...gap, reason };
  }
}

/** Bodies of entries before the range are not read, except tables: they may name what comes. */
function isWanted(header: EntryHeader, from: number): boolean {
  return header.recordCount === 0 || header.firstOffset + header.recordCount > from;
}

function addNames(segment: Segment, bytes: Uint8Array, at: number, header: EntryHeader): void {
  const table = decodeNames(bytes.subarray(at + ENTRY_HEADER_BYTES, at + header.entryBytes));
  for (const row of table?.rows ?? []) segment.names.set(row.channelId, row);
}
