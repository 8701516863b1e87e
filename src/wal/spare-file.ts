/**
 * Writes a spare: a file of zeros, with all its blocks.
 */
import type { Clock } from "../host/clock.ts";
import type { FileHandle, Files } from "../host/files.ts";
import { zeros } from "./format.ts";
import { writeFully, ZERO_STRIDE_BYTES } from "./segment-writer.ts";

/** A paced file is written and synced in pieces of this length: no commit waits for more than one. */
const PACED_STRIDE_BYTES: number = 256 * 1024;

/** How a spare is written. */
export interface SpareFileOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly path: string;
  readonly bytes: number;
  /** Leaves the disk to others for as long as it used it: for files that nobody waits for. */
  readonly isPaced: boolean;
}

/** One spare in the making. */
export class SpareFile {
  readonly #options: SpareFileOptions;
  readonly #pace: Pace;
  #doneBytes = 0;
  #isStopped = false;

  constructor(options: SpareFileOptions) {
    this.#options = options;
    this.#pace = new Pace(options.clock);
    if (!options.isPaced) this.#pace.hurry();
  }

  /** Zeros that are still to be written. */
  get leftBytes(): number {
    return this.#options.bytes - this.#doneBytes;
  }

  /** `whole`: all of it is durable. `stopped`: a part is, and the next opening removes it. Rejects as the disk does. */
  async write(): Promise<"whole" | "stopped"> {
    const { files, isPaced, path } = this.#options;
    const handle = await files.open(path, "create");
    try {
      while (this.leftBytes > 0) {
        if (this.#isStopped) return "stopped";
        await this.#pace.run(() => this.#writeStride(handle));
      }
      if (!isPaced) await handle.sync();
      return "whole";
    } finally {
      await handle.close();
    }
  }

  /** In a paced file each piece is durable before the next: its size never says more than its blocks. */
  async #writeStride(handle: FileHandle): Promise<void> {
    const { isPaced } = this.#options;
    const stride = Math.min(isPaced ? PACED_STRIDE_BYTES : ZERO_STRIDE_BYTES, this.leftBytes);
    await writeFully(handle, zeros(stride), stride, this.#doneBytes);
    if (isPaced) await handle.sync();
    this.#doneBytes += stride;
  }

  /** Someone waits for it: no more pauses. */
  hurry(): void {
    this.#pace.hurry();
  }

  /** Ends after the piece that is being written. */
  stop(): void {
    this.#isStopped = true;
    this.#pace.hurry();
  }
}

/** Pauses after each step for as long as it took, so that half of the disk's time is left. */
export class Pace {
  readonly #clock: Clock;
  #isHurried = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async run<Result>(step: () => Promise<Result>): Promise<Result> {
    const startedMs = this.#clock.monotonicMs();
    const result = await step();
    if (this.#isHurried) return result;
    const tookMs = this.#clock.monotonicMs() - startedMs;
    await new Promise<void>((resolve) => {
      // At least 1 ms, so that a fast disk is not asked without end.
      const cancel = this.#clock.after(Math.max(tookMs, 1), resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = undefined;
    return result;
  }

  /** From now on there are no pauses; the current one ends. */
  hurry(): void {
    this.#isHurried = true;
    this.#wake?.();
  }
}
