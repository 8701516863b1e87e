/**
 * The pipelines' part of a ledger, and dead letters, in memory: nothing outlasts the process.
 */
import type { DeadLetter, DeadLetterStore } from "../contract/dead-letters.ts";
import {
  endsAfter,
  type Commit,
  type Ends,
  type Ledger,
  type PipelineCheckpoint,
  type Plan,
} from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";

/** Holds checkpoints as the real ledger does, with the same checks. */
export class MemoryLedger implements Ledger {
  readonly epoch = 1;
  readonly #checkpoints = new Map<string, PipelineCheckpoint>();

  checkpoint(pipeline: string): PipelineCheckpoint | undefined {
    return this.#checkpoints.get(pipeline);
  }

  pipelines(): readonly string[] {
    return [...this.#checkpoints.keys()];
  }

  async register(
    pipeline: string,
    born: { readonly writerId: string; readonly start: Ends },
  ): Promise<void> {
    await this.#write(pipeline, {
      ...born,
      committed: undefined,
      open: undefined,
      orphanedSinceMs: undefined,
    });
  }

  async plan(plan: Plan): Promise<void> {
    const known = this.#known(plan.pipeline);
    const expected = (known.committed?.batchId ?? 0) + 1;
    if (plan.batchId !== expected || known.open !== undefined) {
      throw new HoldfastError(
        "LEDGER_FENCED",
        `plan of batch ${plan.batchId}, expected ${expected} and no open plan`,
      );
    }
    await this.#write(plan.pipeline, { ...known, open: plan });
  }

  async commit({ pipeline, batchId, tokens }: Commit, next?: Plan): Promise<void> {
    const known = this.#known(pipeline);
    if (known.open?.batchId !== batchId) {
      throw new HoldfastError(
        "LEDGER_FENCED",
        `commit of batch ${batchId}, open is ${known.open?.batchId ?? "none"}`,
      );
    }
    const ends = endsAfter(known.committed?.ends ?? known.start, known.open.ranges);
    await this.#write(pipeline, { ...known, committed: { batchId, ends, tokens }, open: next });
  }

  async orphan(pipeline: string, sinceMs: number | undefined): Promise<void> {
    await this.#write(pipeline, { ...this.#known(pipeline), orphanedSinceMs: sinceMs });
  }

  forget(pipeline: string): Promise<void> {
    this.#checkpoints.delete(pipeline);
    return Promise.resolve();
  }

  /** The one place where state changes. */
  #write(pipeline: string, checkpoint: PipelineCheckpoint): Promise<void> {
    this.#checkpoints.set(pipeline, checkpoint);
    return Promise.resolve();
  }

  #known(pipeline: string): PipelineCheckpoint {
    const known = this.#checkpoints.get(pipeline);
    if (known !== undefined) return known;
    throw new HoldfastError("PIPELINE_UNKNOWN", `pipeline ${pipeline} is not registered`);
  }
}

/** Dead letters as a list. */
export class MemoryLetters implements DeadLetterStore {
  readonly letters: DeadLetter[] = [];

  get nextOffset(): number {
    return this.letters.length;
  }

  add(letters: readonly DeadLetter[]): Promise<void> {
    this.letters.push(...letters);
    return Promise.resolve();
  }

  keysFrom(offset: number): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set(this.letters.slice(offset).map(({ key }) => key)));
  }
}
