/**
 * Opens the log: survey, facts, and the first segment. Nothing acknowledged is deleted here; ends
 * are recorded, ranges that are lost become exact gaps, and a file that ended uncleanly is never
 * appended to again.
 */
import type { LogGap, OwnedLog } from "../contract/log.ts";
import { HoldfastError, toError } from "../errors.ts";
import { LITTLE_ENDIAN } from "./block-codec.ts";
import { ChannelTable } from "./channels.ts";
import { isCopyOnWrite } from "./file-systems.ts";
import { ALIGNMENT_BYTES, UUID_BYTES } from "./format.ts";
import { GapList } from "./gaps.ts";
import { keepCopy, SegmentedLog } from "./log.ts";
import { KeyTable } from "./keys.ts";
import { type LogOptions, type ResolvedLogOptions, resolveLogOptions } from "./log-options.ts";
import { missingBytesOf } from "./reserve.ts";
import { Retention } from "./retention.ts";
import type { Segment } from "./segment.ts";
import { adoptUuid } from "./segment-candidate.ts";
import { SegmentChain } from "./segment-chain.ts";
import { SegmentPool, type SegmentPoolOptions, SPARES_MAX } from "./segment-pool.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { SegmentWindow, type WindowRoom } from "./segment-window.ts";
import { type FoundGap, type FoundSegment, type Survey, surveyDirectory } from "./survey.ts";
import { syncAncestors } from "./sync-ancestors.ts";
import { copyTail, isCopyWorthIt } from "./tail-copy.ts";
import type { PositionRow } from "./tables.ts";

/** What the opening found. */
export interface LogRecovery {
  readonly nextOffset: number;
  /** Number of this opening. */
  readonly epoch: number;
  readonly logUuid: Uint8Array;
  /** The log was closed in order, or is new. */
  readonly isClean: boolean;
  /** Gaps that were not known before. */
  readonly gaps: readonly LogGap[];
  /** What was odd, as sentences. */
  readonly notes: readonly string[];
}

/** An open log and how it was found. */
export interface OpenedLog {
  readonly log: OwnedLog;
  readonly recovery: LogRecovery;
}

/**
 * Opens or creates a log. Rejects with CONFIG_OUT_OF_RANGE, PLATFORM_UNSUPPORTED,
 * FILE_SYSTEM_UNSUITABLE, LOG_VERSION, LOG_FAILED, and with what the directory says (EACCES ...). A full disk is no error: the log opens
 * in state `full`.
 */
export async function openLog(given: LogOptions): Promise<OpenedLog> {
  const options = resolveLogOptions(given);
  if (!LITTLE_ENDIAN)
    throw new HoldfastError("PLATFORM_UNSUPPORTED", "the log needs a little-endian machine");
  const { directory, facts, files } = options;
  await files.makeDirectory(directory);
  const logUuid =
    options.logUuid ?? (await adoptUuid(files, directory)) ?? options.random.bytes(UUID_BYTES);
  const room: WindowRoom = {};
  const survey = await surveyDirectory({ files, directory, logUuid, facts, room });
  if (survey.segments.length === 0) await syncAncestors(files, directory);
  const epoch = Math.max(options.epoch, survey.highestEpoch + 1);
  const opening = new Opening(options, survey, { logUuid, epoch }, room);
  return await opening.run();
}

/** One opening: its steps share what the survey found. */
class Opening {
  readonly #options: ResolvedLogOptions;
  readonly #survey: Survey;
  readonly #identity: { readonly logUuid: Uint8Array; readonly epoch: number };
  readonly #room: WindowRoom;
  readonly #channels = new ChannelTable();
  readonly #keys = new KeyTable();
  readonly #notes: string[];

  constructor(
    options: ResolvedLogOptions,
    survey: Survey,
    identity: { readonly logUuid: Uint8Array; readonly epoch: number },
    room: WindowRoom,
  ) {
    this.#options = options;
    this.#survey = survey;
    this.#identity = identity;
    this.#room = room;
    this.#notes = [...survey.notes];
  }

  async run(): Promise<OpenedLog> {
    const { facts, listener } = this.#options;
    await this.#keepBirth();
    const pool = await this.#openPool();
    this.#restoreChannels();
    const news: LogGap[] = [];
    const gaps = new GapList(facts, (gap) => {
      news.push(gap);
      listener.gap(gap);
    });
    for (const gap of this.#survey.gaps) await this.#reportGap(gap, gaps);
    const newest = this.#survey.segments.at(-1);
    const isClean = newest === undefined || this.#endedInOrder(newest);
    const active = await this.#settleTail(pool, newest);
    const older = this.#survey.segments.slice(0, active === undefined ? undefined : -1);
    const log = this.#assemble({ pool, gaps, older, active, isDegraded: news.length > 0 });
    try {
      await this.#cutUnsealed(older);
      await log.start(active !== undefined);
      pool.startReserving();
    } catch (cause) {
      await log.close();
      throw cause;
    }
    const { epoch, logUuid } = this.#identity;
    return {
      log,
      recovery: {
        nextOffset: this.#survey.nextOffset,
        epoch,
        logUuid,
        isClean,
        gaps: news,
        notes: this.#notes,
      },
    };
  }

  /**
   * Where a new log begins is a fact: without it, segments that are lost in front would look like
   * freed ones.
   */
  async #keepBirth(): Promise<void> {
    const { facts } = this.#options;
    const { empty, highestSegmentId, nextOffset, segments } = this.#survey;
    if (facts.floor !== undefined || segments.length > 0 || empty.length > 0) return;
    await facts.moveFloor({ segmentId: highestSegmentId + 1, offset: nextOffset });
  }

  async #openPool(): Promise<SegmentPool> {
    const { bytesMax, clock, directory, files, listener, reserve, segmentBytes } = this.#options;
    const preallocates = await this.#preallocates();
    const live = [...this.#survey.segments.map((found) => found.segment), ...this.#survey.empty];
    const usedBytes = live.reduce((sum, segment) => sum + segment.identity.capacityBytes, 0);
    const pool = new SegmentPool({
      files,
      clock,
      directory,
      logUuid: this.#identity.logUuid,
      segmentBytes,
      bytesMax,
      preallocates,
      nextSegmentId: this.#survey.highestSegmentId + 1,
      spares: await this.#keptSpares({ preallocates, usedBytes }),
      usedBytes,
      reserve,
      reserved: (progress) => listener.reserved?.(progress),
      missingBytes: missingBytesOf(this.#survey.segments),
    });
    for (const segment of this.#survey.empty) await this.#freeEmpty(pool, segment);
    return pool;
  }

  /**
   * A spare is never more than a file of zeros or of freed records: one that does not fit is simply
   * removed.
   */
  async #keptSpares({
    preallocates,
    usedBytes,
  }: Pick<SegmentPoolOptions, "preallocates" | "usedBytes">): Promise<readonly string[]> {
    const { bytesMax, directory, files, reserve, segmentBytes } = this.#options;
    const room = Math.max(0, Math.floor((bytesMax - usedBytes) / segmentBytes));
    const countMax = reserve === "full" ? room : SPARES_MAX;
    const kept: string[] = [];
    for (const { fileName, sizeBytes } of this.#survey.spares) {
      if (preallocates && sizeBytes === segmentBytes && kept.length < countMax) kept.push(fileName);
      else await files.remove(`${directory}/${fileName}`);
    }
    return kept;
  }

  async #freeEmpty(pool: SegmentPool, segment: Segment): Promise<void> {
    try {
      await pool.free(segment);
    } catch (cause) {
      this.#notes.push(
        `${segment.identity.fileName} holds nothing and could not be freed: ${toError(cause).message}`,
      );
    }
  }

  async #preallocates(): Promise<boolean> {
    const { directory, files, reserve } = this.#options;
    const type = await files.fileSystem(directory).then(
      (fileSystem) => fileSystem.type,
      // Unknown counts as ordinary: writing zeros first does no harm anywhere.
      () => "unknown",
    );
    if (isCopyOnWrite(type) && reserve === "full")
      throw new HoldfastError(
        "FILE_SYSTEM_UNSUITABLE",
        `${directory} is on ${type}, which writes every block to a new place: log.reserve cannot be full there`,
        { fix: "set log.reserve to none, or put `data:` on ext4 or xfs" },
      );
    return !isCopyOnWrite(type);
  }

  /**
   * The newest segment's tables and entries, and those of the one before when its head was damaged;
   * older ones first.
   */
  #restoreChannels(): void {
    for (const { scan } of this.#survey.segments.slice(-2)) {
      if (scan === undefined) continue;
      const positions: PositionRow[] = [...scan.positions].map(([channelId, position]) => ({
        channelId,
        position,
      }));
      this.#channels.restore(scan.names, positions);
      this.#channels.reserveIds(scan.highestChannelId);
      for (const row of scan.keys) this.#keys.add(row);
    }
  }

  async #reportGap(gap: FoundGap, gaps: GapList): Promise<void> {
    const isNews = await gaps.add({ from: gap.from, to: gap.to, reason: gap.reason });
    if (!isNews || gap.bytes === undefined) return;
    const { fromPosition, segment, toPosition } = gap.bytes;
    const { fileName, salt, segmentId } = segment.identity;
    const window = new SegmentWindow(
      this.#options.files,
      `${this.#options.directory}/${fileName}`,
      { salt, limit: toPosition },
    );
    try {
      const bytes = await window.copy(fromPosition, toPosition);
      await keepCopy(this.#options, {
        segmentId,
        position: fromPosition,
        bytes,
        from: gap.from,
        to: gap.to,
        reason: gap.reason,
      });
    } finally {
      await window.close();
    }
  }

  #endedInOrder({ scan, seal }: FoundSegment): boolean {
    return (
      seal !== undefined ||
      (scan?.verdict.isClosed === true &&
        scan.damages.length === 0 &&
        scan.verdict.lostTail === undefined)
    );
  }

  /**
   * What becomes of the newest segment: it goes on, its records move to a new one, or (undefined)
   * it is closed for ever.
   */
  async #settleTail(
    pool: SegmentPool,
    newest: FoundSegment | undefined,
  ): Promise<SegmentWriter | undefined> {
    if (
      newest?.header === undefined ||
      newest.seal !== undefined ||
      newest.segment.end.offset !== this.#survey.nextOffset
    )
      return undefined;
    if (this.#options.facts.cuts.some((cut) => cut.segmentId === newest.segment.identity.segmentId))
      return undefined;
    if (this.#endedInOrder(newest)) return await this.#continue(pool, newest);
    if (!isCopyWorthIt(newest)) return undefined;
    const parts = {
      options: this.#options,
      pool,
      channels: this.#channels,
      keys: this.#keys,
      epoch: this.#identity.epoch,
      room: this.#room,
    };
    return await copyTail(parts, newest);
  }

  /**
   * Goes on behind a CLOSE: nothing was in flight when it was written. The first thing written
   * there is a mark of this opening, so a crash from then on is seen as one.
   */
  async #continue(
    pool: SegmentPool,
    { header, scan, segment, sizeBytes }: FoundSegment,
  ): Promise<SegmentWriter | undefined> {
    const { capacityBytes, fileName } = segment.identity;
    if (
      header === undefined ||
      scan === undefined ||
      segment.end.position + 2 * ALIGNMENT_BYTES > capacityBytes
    )
      return undefined;
    const handle = await this.#options.files.open(
      `${this.#options.directory}/${fileName}`,
      "write-durable",
    );
    const { entryCount, lastHeaderCrc } = scan.verdict;
    const writer = new SegmentWriter(segment, handle, {
      zeroedTo: Math.min(sizeBytes, capacityBytes),
      previousHeaderCrc: lastHeaderCrc,
      entryCount,
      firstTimeMs: scan.firstTimeMs,
    });
    pool.adopt(writer);
    return writer;
  }

  /** Ends that were found by walking become facts, so that the next opening need not walk again. */
  async #cutUnsealed(found: readonly FoundSegment[]): Promise<void> {
    const { facts } = this.#options;
    for (const { scan, seal, segment } of found) {
      const isKnown =
        seal !== undefined ||
        facts.cuts.some((cut) => cut.segmentId === segment.identity.segmentId);
      if (isKnown || scan === undefined) continue;
      const { lastHeaderCrc } = scan.verdict;
      await facts.addCut({
        segmentId: segment.identity.segmentId,
        endPosition: segment.end.position,
        endOffset: segment.end.offset,
        lastHeaderCrc,
      });
    }
  }

  #assemble(parts: Assembly): SegmentedLog {
    const { active, gaps, isDegraded, older, pool } = parts;
    const { clock, facts, keepBytes, keepMs, segmentBytes } = this.#options;
    const previous = older.at(-1)?.segment;
    const nextOffset = this.#survey.nextOffset;
    const retention = new Retention({
      clock,
      pool,
      facts,
      keepBytes,
      keepMs,
      segments: [
        ...older.map((found) => found.segment),
        ...(active === undefined ? [] : [active.segment]),
      ],
      freed: () => log.freed(),
      dropped: (gap) => gaps.noteKnown(gap),
    });
    const chain = new SegmentChain({
      clock,
      pool,
      facts,
      channels: this.#channels,
      keys: this.#keys,
      epoch: this.#identity.epoch,
      segmentBytes,
      active,
      previous: {
        endOffset: previous?.end.offset ?? nextOffset,
        salt: previous?.identity.salt ?? 0,
      },
      nextOffset,
      started: (segment) => retention.add(segment),
    });
    const log = new SegmentedLog({
      options: this.#options,
      pool,
      chain,
      channels: this.#channels,
      keys: this.#keys,
      retention,
      gaps,
      nextOffset,
      isDegraded,
    });
    return log;
  }
}

interface Assembly {
  readonly pool: SegmentPool;
  readonly gaps: GapList;
  /** Segments that are not written any more. */
  readonly older: readonly FoundSegment[];
  readonly active: SegmentWriter | undefined;
  readonly isDegraded: boolean;
}
