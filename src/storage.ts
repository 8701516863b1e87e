/**
 * The log's unit: lock, ledger, log and dead letters of one data directory.
 *
 * Opened in this order, because each needs what the one before knows: the lock keeps others out, the ledger has the
 * epoch and the cuts, the log has the records. Closed in reverse.
 */
import { join, resolve } from "node:path";
import type { Emit } from "./contract/events.ts";
import type { LogListener, LogState } from "./contract/log.ts";
import type { UnitDefinition } from "./contract/unit.ts";
import { deadLetterStore } from "./dead-letters.ts";
import { codeOf, HoldfastError } from "./errors.ts";
import type { Host } from "./host/host.ts";
import type { FileLock } from "./host/process.ts";
import type { LiveStorage, OpenStorage } from "./live-log.ts";
import type { ResolvedIngestOptions } from "./options.ts";
import { openLedger, type OpenedLedger } from "./wal/ledger.ts";
import { FlushLimit, limitFlushes } from "./wal/flush-limit.ts";
import { openLog } from "./wal/open-log.ts";

/** Places in a data directory. */
export const LOCK_FILE = "LOCK";
export const LOG_DIRECTORY = "log";
export const LEDGER_DIRECTORY = "ledger";
export const DEAD_LETTER_DIRECTORY = "dead-letters";

const MIB = 1024 * 1024;
/** Share of `bytesMax` that dead letters may use, and its bounds. */
const DEAD_LETTER_SHARE = 0.05;
const DEAD_LETTER_BYTES_MIN = 8 * MIB;
const DEAD_LETTER_BYTES_MAX = 256 * MIB;
const DEAD_LETTER_SEGMENT_BYTES = MIB;
/** What the ledger's files use at most: the open one, the one before, and the next one. */
const LEDGER_BYTES = 4 * MIB;
/** The log's unit may read a large unsealed tail before it is open. */
const OPEN_DEADLINE_MS = 120_000;
const CLOSE_DEADLINE_MS = 10_000;

/** What making a directory says when a file is in its place. */
const NO_DIRECTORY: readonly string[] = ["EEXIST", "ENOTDIR"];

/**
 * Makes the data directory if needed and takes it for this process.
 *
 * @throws DIRECTORY_UNWRITABLE, DATA_LOCKED, PLATFORM_UNSUPPORTED
 */
export async function lockDirectory(host: Host, directory: string): Promise<FileLock> {
  try {
    await host.files.makeDirectory(directory);
    return await host.process.lockFile(join(directory, LOCK_FILE));
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause;
    const code = codeOf(cause);
    const why = NO_DIRECTORY.includes(code) ? "is no directory" : "cannot be written";
    throw new HoldfastError("DIRECTORY_UNWRITABLE", `${resolve(directory)} ${why}: ${code}`, {
      cause,
      fix: "choose another directory with `data:`, or give this user the right to write there",
    });
  }
}

/** What the unit works with. */
export interface StorageParts {
  readonly host: Host;
  readonly options: Pick<ResolvedIngestOptions, "directory" | "log">;
  /** Where the other units find what is open. */
  readonly storage: LiveStorage;
  readonly listener: LogListener;
  readonly emit: Emit;
}

/** The unit `log`. The caller holds the lock, over restarts of the unit too. */
export function storageUnit(given: StorageParts): UnitDefinition {
  // Made once: a restart does not begin a new second.
  const parts = {
    ...given,
    host: sparingHost(given.host, given.options.log.flushesPerSecondMax),
  };
  return {
    name: "log",
    openDeadlineMs: OPEN_DEADLINE_MS,
    closeDeadlineMs: CLOSE_DEADLINE_MS,
    open: async ({ fail }) => {
      const opened = await openStorage(parts, fail);
      parts.storage.set(opened);
      const { state, lastError } = opened.log.status();
      if (state === "full") parts.listener.stateChanged(state, lastError);
      return {
        close: async () => {
          parts.storage.set(undefined);
          await opened.close();
        },
      };
    },
  };
}

async function openStorage(
  { host, options, listener, emit }: StorageParts,
  fail: (cause: unknown) => void,
): Promise<OpenStorage & { close(): Promise<void> }> {
  const { directory } = options;
  const { clock, random, files } = host;
  const ledger = await openLedgerOf(host, directory, false, fail);
  const closers: (() => Promise<void>)[] = [() => ledger.close()];
  const close = async (): Promise<void> => {
    for (const each of closers.toReversed()) await each();
  };
  const { logUuid, epoch } = ledger;
  const shared = { clock, random, files, logUuid, epoch };
  const failing = (state: LogState, cause: Error | undefined): void => {
    if (state === "failed") fail(cause);
  };
  try {
    const letterBytes = letterShare(options.log.bytesMax);
    const { log, recovery } = await openLog({
      ...shared,
      ...options.log,
      directory: join(directory, LOG_DIRECTORY),
      facts: ledger.facts("log"),
      bytesMax: options.log.bytesMax - letterBytes - LEDGER_BYTES,
      listener: {
        ...listener,
        stateChanged: (state, cause) => {
          listener.stateChanged(state, cause);
          failing(state, cause);
        },
      },
    });
    closers.push(() => log.close());
    const letters = await openLog({
      ...shared,
      directory: join(directory, DEAD_LETTER_DIRECTORY),
      facts: ledger.facts("dead-letters"),
      segmentBytes: DEAD_LETTER_SEGMENT_BYTES,
      bytesMax: letterBytes,
      whenFull: "drop-oldest",
      listener: { committed: nothing, gap: nothing, pressure: nothing, stateChanged: failing },
    });
    closers.push(() => letters.log.close());
    emit("log-recovered", {
      nextOffset: recovery.nextOffset,
      isClean: recovery.isClean,
      gapRecords: recovery.gaps.reduce((sum, { from, to }) => sum + to - from, 0),
    });
    return { log, ledger, deadLetters: deadLetterStore(letters.log, clock), close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** The host with its durable writes bounded: one bound for all that the unit opens. */
function sparingHost(host: Host, flushesPerSecondMax: number): Host {
  if (flushesPerSecondMax === 0) return host;
  return {
    ...host,
    files: limitFlushes(host.files, new FlushLimit(host.clock, flushesPerSecondMax)),
  };
}

function letterShare(bytesMax: number): number {
  const share = Math.floor(bytesMax * DEAD_LETTER_SHARE);
  return Math.min(Math.max(share, DEAD_LETTER_BYTES_MIN), DEAD_LETTER_BYTES_MAX);
}

const nothing = (): void => undefined;

/** Opens the ledger as this machine and directory: a copied or moved one is refused with LOG_MOVED. */
export async function openLedgerOf(
  host: Host,
  directory: string,
  adopt = false,
  failed: (cause: Error) => void = nothing,
): Promise<OpenedLedger> {
  const { clock, random, files } = host;
  const lock = await files.stat(join(directory, LOCK_FILE));
  const identity = { machineId: await host.process.machineId(), inode: lock?.inode ?? "" };
  return await openLedger({
    clock,
    random,
    files,
    adopt,
    failed,
    identity,
    directory: join(directory, LEDGER_DIRECTORY),
    logDirectory: join(directory, LOG_DIRECTORY),
  });
}
