/**
 * Bounds how often a flash card is flushed: in any second at most so many durable writes, whoever makes them.
 *
 * It lies under the log, the ledger and the dead letters, at the calls themselves: groups that are large, fences,
 * tables, marks of an idle log, plans and commits of pipelines all pass here, so that none can be forgotten.
 */
import type { Clock } from "../host/clock.ts";
import type { FileHandle, Files, OpenMode } from "../host/files.ts";

const WINDOW_MS = 1_000;

/**
 * Lets flushes through in the order they were asked for. One begins only when the one that many before it ended a
 * second ago: so no window of a second touches more of them, however long each takes.
 */
export class FlushLimit {
  readonly #clock: Clock;
  readonly #countMax: number;
  #running = 0;
  /** Ends of flushes less than a second ago, ascending. */
  #endsMs: readonly number[] = [];
  #waiting: (() => void)[] = [];
  #isTimed = false;

  constructor(clock: Clock, countMax: number) {
    this.#clock = clock;
    this.#countMax = countMax;
  }

  /** Runs a flush when it may begin. A flush that fails counts too: the card was asked. */
  async run<Result>(flush: () => Promise<Result>): Promise<Result> {
    if (this.#waiting.length > 0 || !this.#hasRoom())
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        this.#arm();
      });
    else this.#running += 1;
    try {
      return await flush();
    } finally {
      this.#running -= 1;
      this.#endsMs = [...this.#endsMs, this.#clock.monotonicMs()];
      this.#arm();
    }
  }

  #hasRoom(): boolean {
    const oldestMs = this.#clock.monotonicMs() - WINDOW_MS;
    this.#endsMs = this.#endsMs.filter((endMs) => endMs > oldestMs);
    return this.#running + this.#endsMs.length < this.#countMax;
  }

  /** A timer only while someone waits and something has ended: a running flush arms it at its end. */
  #arm(): void {
    const [firstMs] = this.#endsMs;
    if (this.#waiting.length === 0 || this.#isTimed || firstMs === undefined) return;
    this.#isTimed = true;
    // Rounded up: a timer that fires early would only be set again.
    const waitMs = Math.max(0, Math.ceil(firstMs + WINDOW_MS - this.#clock.monotonicMs()));
    this.#clock.after(waitMs, () => {
      this.#isTimed = false;
      this.#letGo();
      this.#arm();
    });
  }

  #letGo(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      this.#running += 1;
      this.#waiting.shift()?.();
    }
  }
}

/** The same files with every durable write, sync and sync of a directory under the limit. */
export function limitFlushes(files: Files, limit: FlushLimit): Files {
  return {
    open: async (path, mode) => limitedHandle(await files.open(path, mode), mode, limit),
    makeDirectory: (path) => files.makeDirectory(path),
    list: (path) => files.list(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    syncDirectory: (path) => limit.run(() => files.syncDirectory(path)),
    readFile: (path) => files.readFile(path),
    stat: (path) => files.stat(path),
    fileSystem: (path) => files.fileSystem(path),
  };
}

function limitedHandle(handle: FileHandle, mode: OpenMode, limit: FlushLimit): FileHandle {
  const isDurable = mode === "write-durable" || mode === "create-durable";
  return {
    path: handle.path,
    read: (...call) => handle.read(...call),
    write: (...call) =>
      isDurable ? limit.run(() => handle.write(...call)) : handle.write(...call),
    sync: () => limit.run(() => handle.sync()),
    truncate: (bytes) => handle.truncate(bytes),
    size: () => handle.size(),
    close: () => handle.close(),
  };
}
