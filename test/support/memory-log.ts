/** A log, a ledger and dead letters that live in memory and outlast the processors of a test. */
import type {
  Commit,
  Ends,
  Ledger,
  LogItem,
  Offsets,
  PipelineCheckpoint,
  Plan,
} from "../../src/contract/log.ts";
import type { Source } from "../../src/contract/source.ts";
import { HoldfastError } from "../../src/errors.ts";
import { MemoryLedger } from "../../src/testing/memory-ledger.ts";
import { storedBlock } from "./blocks.ts";

/** A source of texts; `append` makes more of them readable. */
export class MemorySource implements Source {
  readonly name = "log";
  readonly texts: string[] = [];
  /** Offsets that are lost: they come as gaps. */
  readonly lost: Set<number> = new Set();
  #waiting: (() => void)[] = [];
  /** Records per block that `read` gives. */
  blockRecords = 3;

  append(...texts: readonly string[]): void {
    this.texts.push(...texts);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  latest(): Promise<Offsets> {
    return Promise.resolve({ "0": this.texts.length });
  }

  oldest(): Promise<Offsets> {
    return Promise.resolve({ "0": 0 });
  }

  bounded(from: Offsets, { recordsMax }: { readonly recordsMax: number }): Promise<Offsets> {
    return Promise.resolve({ "0": Math.min(this.texts.length, (from["0"] ?? 0) + recordsMax) });
  }

  waitFor(from: Offsets, signal: AbortSignal): Promise<void> {
    if (this.texts.length > (from["0"] ?? 0)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }

  lag(ends: Offsets): number {
    return this.texts.length - (ends["0"] ?? 0);
  }

  async *read({
    from,
    to,
  }: {
    readonly from: number;
    readonly to: number;
  }): AsyncGenerator<LogItem> {
    for (let offset = from; offset < to; ) {
      if (this.lost.has(offset)) {
        yield { kind: "gap", from: offset, to: offset + 1, reason: "damaged" };
        offset++;
        continue;
      }
      let end = offset;
      while (end < to && end < offset + this.blockRecords && !this.lost.has(end)) end++;
      yield {
        kind: "records",
        block: storedBlock(this.texts.slice(offset, end), { firstOffset: offset }),
      };
      offset = end;
    }
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}

/** A ledger in memory. `failNext` makes the next durable write fail before or after it took effect. */
export class FailingLedger implements Ledger {
  readonly #ledger = new MemoryLedger();
  readonly plans: Plan[] = [];
  failNext: "before" | "after" | undefined;

  get epoch(): number {
    return this.#ledger.epoch;
  }

  checkpoint(pipeline: string): PipelineCheckpoint | undefined {
    return this.#ledger.checkpoint(pipeline);
  }

  pipelines(): readonly string[] {
    return this.#ledger.pipelines();
  }

  register(
    pipeline: string,
    born: { readonly writerId: string; readonly start: Ends },
  ): Promise<void> {
    return this.#faulty(() => this.#ledger.register(pipeline, born));
  }

  plan(plan: Plan): Promise<void> {
    return this.#faulty(() => this.#ledger.plan(plan), plan);
  }

  commit(commit: Commit, next?: Plan): Promise<void> {
    return this.#faulty(() => this.#ledger.commit(commit, next), next);
  }

  orphan(pipeline: string, sinceMs: number | undefined): Promise<void> {
    return this.#faulty(() => this.#ledger.orphan(pipeline, sinceMs));
  }

  forget(pipeline: string): Promise<void> {
    return this.#ledger.forget(pipeline);
  }

  async #faulty(write: () => Promise<void>, plan?: Plan): Promise<void> {
    const fail = this.failNext;
    this.failNext = undefined;
    if (fail === "before") throw new HoldfastError("LOG_FAILED", "the ledger could not be written");
    await write();
    if (plan !== undefined) this.plans.push(plan);
    if (fail === "after") throw new HoldfastError("LOG_FAILED", "the answer was lost");
  }
}
