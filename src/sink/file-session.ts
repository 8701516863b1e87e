/**
 * A file sink while it is open.
 *
 * Exactly once by token: a batch is appended to the open part and synced, and where the part ends then goes into the
 * commit. Whatever lies behind the newest commit is cut before the next write, so that a replay writes the same
 * bytes again. A part is renamed only when all of it is committed: between a commit and the next write.
 */
import type {
  RowChunk,
  SinkBatch,
  SinkContext,
  SinkPosition,
  SinkSession,
  WriteResult,
} from "../contract/sink.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Cancel } from "../host/clock.ts";
import { PartDirectory, type PartNames } from "./file-directory.ts";
import type { PartFile } from "./file-part.ts";
import { decodeToken, encodeToken, NO_PART, type PartState } from "./file-recovery.ts";
import type { LineFormat } from "./lines.ts";
import { judgeBatch, positionAfter } from "./position.ts";

/** Options of a file sink with nothing left open. */
export interface ResolvedFileOptions extends PartNames {
  readonly partBytesMax: number;
  readonly partAgeMsMax: number;
  readonly format: LineFormat;
}

/** A batch that is in the part and not yet in the ledger. */
interface Written {
  readonly state: PartState;
  readonly finish: boolean;
  readonly position: SinkPosition;
}

export class FileSession implements SinkSession<unknown> {
  readonly guarantee = "exactly-once";
  readonly by = "token";
  readonly #context: SinkContext;
  readonly #options: ResolvedFileOptions;
  readonly #directory: PartDirectory;
  /** What is committed of the open part. */
  #base: PartState = NO_PART;
  /** Monotonic time at which the open part is old. */
  #dueMs = Infinity;
  #written: Written | undefined;
  #position: SinkPosition;
  #part: PartFile | undefined;
  #isWriting = false;
  #isClosed = false;
  /** Why the part could not be finished: what is renamed and what is not is for the next open to find out. */
  #broken: Error | undefined;
  #cancelTimer: Cancel = () => undefined;
  /** A part that is finished because it is old, while no batch runs. */
  #rolling: Promise<void> = Promise.resolve();

  private constructor(
    context: SinkContext,
    options: ResolvedFileOptions,
    directory: PartDirectory,
  ) {
    this.#context = context;
    this.#options = options;
    this.#directory = directory;
    this.#position = { batchId: context.lastBatchId, epoch: 0, ends: context.lastEnds };
  }

  /**
   * Takes the directory over, cuts what was never committed, and finishes the part that a crash left unfinished.
   *
   * @throws SINK_CONFLICT, SINK_BEHIND, SINK_FAILED, DIRECTORY_UNWRITABLE
   */
  static async open(context: SinkContext, options: ResolvedFileOptions): Promise<FileSession> {
    const token =
      context.lastToken === undefined ? undefined : decodeToken(context.name, context.lastToken);
    const { directory, recovery } = await PartDirectory.open(context, options, token);
    if (recovery.leftAlone !== undefined) {
      context.logger.warn("another writer's open part was left alone", {
        directory: options.directory,
        file: recovery.leftAlone,
      });
    }
    const session = new FileSession(context, options, directory);
    try {
      await session.#restore(recovery.keep, recovery.finish);
      return session;
    } catch (cause) {
      await session.#dropPart();
      throw cause;
    }
  }

  async write(batch: SinkBatch<unknown>, signal: AbortSignal): Promise<WriteResult> {
    if (judgeBatch(this.#position, batch) === "already-written") return { kind: "already-written" };
    // Set before the first wait: from here on the timer must not rename the part.
    this.#isWriting = true;
    try {
      await this.#rolling;
      if (this.#broken !== undefined) throw this.#broken;
      await this.#rewind();
      const state = await this.#append(batch, signal);
      const finish =
        state.part !== "" && (state.bytes >= this.#options.partBytesMax || this.#isOld());
      this.#written = { state, finish, position: positionAfter(this.#position, batch) };
      return { kind: "written", token: encodeToken({ ...state, finish }) };
    } catch (cause) {
      await this.#abandon();
      throw cause;
    } finally {
      this.#isWriting = false;
    }
  }

  async committed(batchId: number): Promise<void> {
    const written = this.#written;
    if (written === undefined || written.position.batchId !== batchId) return;
    this.#written = undefined;
    this.#base = written.state;
    this.#position = written.position;
    if (this.#base.part === "") return;
    if (written.finish || this.#isOld()) await this.#finish();
    else this.#startTimer();
  }

  async flush(): Promise<{ readonly finishedParts: number }> {
    await this.#rolling;
    // A batch whose commit is not known stays in the open part: the next open knows.
    if (this.#broken !== undefined || this.#written !== undefined || this.#base.part === "")
      return { finishedParts: 0 };
    await this.#finish();
    return { finishedParts: 1 };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer();
    await this.#rolling;
    const part = this.#part;
    this.#part = undefined;
    await part?.close();
  }

  async #restore(keep: PartState, finish: boolean): Promise<void> {
    if (keep.part === "") return;
    this.#base = keep;
    // Opened now and not at the next write: the uncommitted tail must not be seen as output meanwhile.
    this.#part = await this.#directory.openPart(keep.bytes);
    const { clock } = this.#context;
    const ageMs = Math.max(0, clock.wallMs() - keep.openedAtMs);
    this.#dueMs = clock.monotonicMs() + Math.max(0, this.#options.partAgeMsMax - ageMs);
    if (finish || keep.bytes >= this.#options.partBytesMax || this.#isOld()) await this.#finish();
    else this.#startTimer();
  }

  /** Back to what is committed: a batch that was written before and not committed is written anew. */
  async #rewind(): Promise<void> {
    this.#written = undefined;
    if (this.#part === undefined) return;
    if (this.#part.bytes !== this.#base.bytes) await this.#part.cutTo(this.#base.bytes);
  }

  async #append(batch: SinkBatch<unknown>, signal: AbortSignal): Promise<PartState> {
    let state = this.#base;
    for await (const chunk of batch.chunks) {
      signal.throwIfAborted();
      if (chunk.count === 0) continue;
      if (state.part === "") state = await this.#begin(chunk);
      const part = (this.#part ??= await this.#directory.openPart(this.#base.bytes));
      const rejected = await this.#options.format(chunk, part);
      if (rejected.length > 0) await this.#context.reject(rejected);
    }
    const part = this.#part;
    signal.throwIfAborted();
    if (part === undefined || part.bytes === 0) return NO_PART;
    if (part.bytes === this.#base.bytes) return this.#base;
    await part.sync();
    // The first bytes of a part: its name must be as durable as they are.
    if (this.#base.bytes === 0) await this.#directory.syncNames();
    return { ...state, bytes: part.bytes };
  }

  async #begin({ block, recordIndexes }: RowChunk<unknown>): Promise<PartState> {
    const { clock } = this.#context;
    this.#dueMs = clock.monotonicMs() + this.#options.partAgeMsMax;
    const part = await this.#directory.partName(block.firstOffset + (recordIndexes[0] ?? 0));
    return { part, bytes: 0, openedAtMs: clock.wallMs() };
  }

  /** After a failure: cuts what can be cut, so that readers of the open part see no half batch, and lets go of the file. */
  async #abandon(): Promise<void> {
    try {
      await this.#part?.cutTo(this.#base.bytes);
    } catch (cause) {
      // Not fatal: the next open cuts it.
      this.#context.logger.debug("the open part could not be cut back", { cause });
    }
    await this.#dropPart();
  }

  /** Lets go of the file after a failure, which is the one that counts. */
  async #dropPart(): Promise<void> {
    const part = this.#part;
    this.#part = undefined;
    await part?.close().catch(() => undefined);
  }

  #isOld(): boolean {
    return this.#context.clock.monotonicMs() >= this.#dueMs;
  }

  #startTimer(): void {
    this.#cancelTimer();
    const { clock } = this.#context;
    this.#cancelTimer = clock.after(this.#dueMs - clock.monotonicMs(), () => this.#roll());
  }

  /** The part is old. While a batch is on its way, its commit finishes the part. */
  #roll(): void {
    if (this.#isClosed || this.#isWriting || this.#written !== undefined || this.#base.part === "")
      return;
    this.#rolling = this.#finish().catch((cause: unknown) => this.#context.fail(cause));
  }

  async #finish(): Promise<void> {
    this.#cancelTimer();
    try {
      await this.#rename();
    } catch (cause) {
      this.#broken = toError(cause);
      throw cause;
    }
  }

  /** Gives the part its final name. All of it is committed, and nobody writes. */
  async #rename(): Promise<void> {
    const { part, bytes } = this.#base;
    const file = this.#part;
    if (file !== undefined && file.bytes !== bytes) {
      throw new HoldfastError(
        "INTERNAL",
        `${this.#context.name}: part ${part} has ${file.bytes} bytes, committed are ${bytes}`,
      );
    }
    this.#part = undefined;
    await file?.close();
    await this.#directory.finish(this.#base);
    this.#base = NO_PART;
    this.#dueMs = Infinity;
    this.#context.note("part finished", { part, bytes });
  }
}
