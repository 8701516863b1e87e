/**
 * Which records nobody needs any more: the slowest pipeline's position, with pipelines that left the configuration.
 */
import { LOG_PARTITION, LOG_SOURCE } from "./batch/log-source.ts";
import type { Ledger } from "./contract/log.ts";
import type { Logger } from "./contract/logger.ts";
import { toError } from "./errors.ts";
import type { Clock } from "./host/clock.ts";
import type { LiveStorage } from "./live-log.ts";
import type { ResolvedIngestOptions } from "./options.ts";

/** How long a pipeline that left the configuration still holds space. */
export const ORPHAN_HOLDS_MS: number = 24 * 60 * 60 * 1000;

/** Who holds the log, and from where. */
export interface Holder {
  readonly pipeline: string;
  readonly offset: number;
}

/** The pipelines that still count, with where they stand. */
export function holders(ledger: Ledger, wallMs: number): readonly Holder[] {
  return ledger.pipelines().flatMap((pipeline) => {
    const state = ledger.checkpoint(pipeline);
    if (state === undefined || isExpired(state.orphanedSinceMs, wallMs)) return [];
    const offset = (state.committed?.ends ?? state.start)[LOG_SOURCE]?.[LOG_PARTITION];
    return offset === undefined ? [] : [{ pipeline, offset }];
  });
}

/** The slowest pipeline that still counts, or undefined when there is none: then nothing may be released. */
export function slowestHolder(ledger: Ledger, wallMs: number): Holder | undefined {
  return holders(ledger, wallMs).reduce<Holder | undefined>(
    (slowest, holder) =>
      slowest === undefined || holder.offset < slowest.offset ? holder : slowest,
    undefined,
  );
}

function isExpired(orphanedSinceMs: number | undefined, wallMs: number): boolean {
  return orphanedSinceMs !== undefined && wallMs - orphanedSinceMs > ORPHAN_HOLDS_MS;
}

/** Whether `keep` alone says what stays: without a pipeline the log is a ring then. Without both nothing is ever freed. */
export function isRing({
  log,
  pipelines,
}: Pick<ResolvedIngestOptions, "log" | "pipelines">): boolean {
  return pipelines.length === 0 && (log.keepBytes > 0 || log.keepMs > 0);
}

/** What freeing works with. */
export interface ReleaserParts {
  readonly storage: LiveStorage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isRing: boolean;
}

/** Frees what nobody needs: one release at a time, and the next commit asks again. */
export class Releaser {
  readonly #parts: ReleaserParts;
  #isReleasing = false;

  constructor(parts: ReleaserParts) {
    this.#parts = parts;
  }

  /** Records are durable. */
  committed(): void {
    if (this.#parts.isRing) this.release();
  }

  /** A pipeline has moved on. */
  release(): void {
    const { storage, clock, logger } = this.#parts;
    if (this.#isReleasing || !storage.isOpen) return;
    const { log, ledger } = storage;
    const holder = slowestHolder(ledger, clock.wallMs());
    const offset = holder?.offset ?? (this.#parts.isRing ? log.durableEnd : undefined);
    if (offset === undefined) return;
    this.#isReleasing = true;
    log
      .release(offset)
      .catch((cause: unknown) =>
        logger.warn("space could not be freed, the next commit tries again", {
          error: toError(cause).message,
        }),
      )
      .finally(() => {
        this.#isReleasing = false;
      });
  }
}

/** Marks pipelines of the ledger that are not configured: they hold space for a while, then no longer. */
export async function markOrphans(
  ledger: Ledger,
  pipelines: readonly { readonly name: string }[],
  { clock, logger }: Pick<ReleaserParts, "clock" | "logger">,
): Promise<void> {
  const configured = new Set(pipelines.map(({ name }) => name));
  for (const name of ledger.pipelines()) {
    const isOrphan =
      !configured.has(name) && ledger.checkpoint(name)?.orphanedSinceMs === undefined;
    if (!isOrphan) continue;
    await ledger.orphan(name, clock.wallMs());
    logger.warn(
      `pipeline ${name} is in the ledger and not in the configuration: it holds the log for 24 h; \`holdfast pipelines forget ${name}\` frees it now`,
    );
  }
}
