/**
 * Reads a log from another thread or another process, while it is written: without its lock, without its ledger, and
 * without changing anything.
 *
 * Nobody sees what is not durable. A record is given when a later entry, a SEAL or the next segment proves that it was
 * on disk, or, within the process, when the shared durable end says so. What was recycled meanwhile comes as `expired`,
 * which is no damage: it was needed by nobody whom the log knows.
 */
import type { LogItem, OffsetSpan } from "../contract/log.ts";
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import { HoldfastError } from "../errors.ts";
import type { ChannelName } from "./block-codec.ts";
import { DirectoryView } from "./directory-view.ts";
import { DurableEndCell } from "./durable-end.ts";
import { LogReader } from "./reader.ts";
import type { Segment } from "./segment.ts";

/** How a directory is read. */
export interface DirectoryReaderOptions {
  readonly files: Files;
  readonly clock: Clock;
  /** The log's own directory, with its segments. */
  readonly directory: string;
  /** What the writer moves, when it runs in this process. @defaultValue proofs on the disk alone */
  readonly durableEnd?: SharedArrayBuffer;
  /** Longest time until something new is seen, 1 .. 60,000. @defaultValue 100 */
  readonly pollMs?: number;
}

/** As in the process of the log; `expired`: the segment was recycled before it was read. */
export type DirectoryItem =
  | LogItem
  | { readonly kind: "expired"; readonly from: number; readonly to: number };

const POLL_MS = 100;
const POLL_MS_MAX = 60_000;

/** A segment was recycled under its reader. */
class ExpiredError extends Error {}

/**
 * Opens a directory for reading. Rejects with CONFIG_OUT_OF_RANGE, and with ENOENT when there is no such directory; one
 * without segments is read when it has some.
 */
export async function openLogReader(options: DirectoryReaderOptions): Promise<DirectoryReader> {
  const { pollMs = POLL_MS } = options;
  if (!(pollMs >= 1 && pollMs <= POLL_MS_MAX))
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `pollMs is ${pollMs}, allowed are 1 to ${POLL_MS_MAX}`,
    );
  const reader = new DirectoryReader(options, pollMs);
  await reader.refresh();
  return reader;
}

/** Reads for any number of callers in this thread at once. */
export class DirectoryReader {
  readonly #view: DirectoryView;
  readonly #reader: LogReader;
  readonly #clock: Clock;
  readonly #cell: DurableEndCell | undefined;
  readonly #pollMs: number;

  constructor({ clock, directory, durableEnd, files }: DirectoryReaderOptions, pollMs: number) {
    this.#clock = clock;
    this.#pollMs = pollMs;
    this.#cell = durableEnd === undefined ? undefined : new DurableEndCell(durableEnd);
    this.#view = new DirectoryView(files, directory);
    this.#reader = new LogReader({
      files,
      directory,
      segmentAt: (offset) => this.#view.segmentAt(offset),
      reasonOf: () => "missing-segment",
      nameOf: (channelId) => this.#nameOf(channelId),
      damaged: ({ segment }) => this.#assertStillThere(segment),
      unpinned: () => undefined,
    });
  }

  /** Offsets below are durable as far as this reader knows; moved by {@link refresh} and by reading. */
  get durableEnd(): number {
    return this.#view.durableEnd;
  }

  /** The first offset that can be read. */
  get oldestOffset(): number {
    return this.#view.segments[0]?.identity.baseOffset ?? this.#view.durableEnd;
  }

  /** Looks at the directory again. */
  async refresh(): Promise<void> {
    // First: what it says was on disk before the directory is looked at.
    const toldEnd = this.#cell?.value ?? 0;
    await this.#view.refresh(toldEnd);
  }

  /**
   * Everything from `from` that is durable now, in offset order and without holes. Blocks are views that are valid
   * until the next item is asked for.
   */
  async *read(from: number, signal: AbortSignal): AsyncGenerator<DirectoryItem, void, undefined> {
    await this.refresh();
    yield* this.#items({ from, to: this.durableEnd }, signal);
  }

  /** As {@link read}, and then what comes. Ends only by the signal, with its reason. */
  async *tail(from: number, signal: AbortSignal): AsyncGenerator<DirectoryItem, void, undefined> {
    let next = from;
    for (;;) {
      signal.throwIfAborted();
      const seen = this.#cell?.value ?? 0;
      await this.refresh();
      const to = this.durableEnd;
      if (to <= next) {
        await this.#wait(seen, signal);
        continue;
      }
      yield* this.#items({ from: next, to }, signal);
      next = to;
    }
  }

  async close(): Promise<void> {
    await this.#view.close();
  }

  async #wait(seen: number, signal: AbortSignal): Promise<void> {
    if (this.#cell === undefined) return await this.#clock.sleep(this.#pollMs, signal);
    await this.#cell.wait(seen, { clock: this.#clock, timeoutMs: this.#pollMs }, signal);
  }

  async *#items(
    span: OffsetSpan,
    signal: AbortSignal,
  ): AsyncGenerator<DirectoryItem, void, undefined> {
    let next = span.from;
    // Whether the view is as new as the last surprise: a listing may lack a file that is being renamed.
    let isFresh = false;
    while (next < span.to) {
      signal.throwIfAborted();
      const segment = this.#view.segmentAt(next);
      const start = Math.min(segment?.identity.baseOffset ?? span.to, span.to);
      if (segment === undefined || start > next) {
        if (isFresh) {
          yield this.#absent({ from: next, to: start });
          next = start;
        } else await this.refresh();
        isFresh = !isFresh;
        continue;
      }
      if (await this.#view.isGone(segment)) {
        await this.refresh();
        continue;
      }
      const to = Math.min(span.to, segment.end.offset);
      try {
        for await (const item of this.#reader.read({ from: next, to }, signal)) {
          next = endOf(item);
          yield item;
        }
      } catch (cause) {
        if (!(cause instanceof ExpiredError)) throw cause;
        await this.refresh();
      }
    }
  }

  /** Segments go oldest first, so what is missing in front has expired; a hole behind is a loss. */
  #absent({ from, to }: OffsetSpan): DirectoryItem {
    return from < this.oldestOffset
      ? { kind: "expired", from, to }
      : { kind: "gap", from, to, reason: "missing-segment" };
  }

  /** Damage is what stays when everything was looked at again. */
  async #assertStillThere(segment: Segment): Promise<void> {
    const newest = this.#view.segments.at(-1);
    const hasExpired = await this.#view.hasExpired(segment);
    await this.refresh();
    const isStale = this.#view.segments.at(-1) !== newest || !this.#view.segments.includes(segment);
    if (hasExpired || isStale) throw new ExpiredError(segment.identity.fileName);
  }

  #nameOf(channelId: number): ChannelName | undefined {
    return this.#view.segments
      .find((segment) => segment.names.has(channelId))
      ?.names.get(channelId);
  }
}

function endOf(item: LogItem): number {
  return item.kind === "gap" ? item.to : item.block.firstOffset + item.block.count;
}
