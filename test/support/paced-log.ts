/**
 * A log in memory that takes its time on a virtual clock: it fills up, fails and is opened again when a test says so,
 * and keeps which epoch stored what.
 */
import type { AppendOrigin, Log } from "../../src/contract/log.ts";
import { copyOf, type RecordBlock, type Stored } from "../../src/contract/record.ts";
import { HoldfastError } from "../../src/errors.ts";
import type { Cancel, Clock } from "../../src/host/clock.ts";

/** A block on disk. */
export interface DurableBlock {
  readonly receiver: string;
  readonly epoch: number;
  readonly channel: string;
  readonly texts: readonly string[];
  readonly position: Uint8Array | undefined;
}

interface Waiting extends DurableBlock {
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly resolve: (stored: Stored) => void;
  readonly reject: (cause: Error) => void;
}

/** What it needs and how fast it is. */
export interface PacedLogParts {
  readonly clock: Clock;
  readonly pressure: (isFull: boolean) => void;
  readonly writeMs: number;
  /** Waiting bytes from which on it has pressure. */
  readonly pressureBytes: number;
  readonly storeTimeoutMs: number;
}

type Part = Pick<Log, "append" | "fence" | "position">;

/** See the file's head. */
export class PacedLog implements Part {
  readonly durable: DurableBlock[] = [];
  readonly #parts: PacedLogParts;
  readonly #epochs = new Map<string, number>();
  #waiting: Waiting[] = [];
  #flight: Waiting[] = [];
  #drains: { readonly blocks: Set<Waiting>; readonly resolve: () => void }[] = [];
  #timer: Cancel | undefined;
  #hasPressure = false;
  #isFull = false;
  #isOpen = true;

  constructor(parts: PacedLogParts) {
    this.#parts = parts;
  }

  /** Blocks that are accepted and not settled, of this receiver. */
  pendingOf(receiver: string): number {
    return [...this.#flight, ...this.#waiting].filter((block) => block.receiver === receiver)
      .length;
  }

  append(block: RecordBlock, { receiver, epoch }: AppendOrigin): Promise<Stored> {
    if (!this.#isOpen) return Promise.reject(new HoldfastError("LOG_CLOSED", "closed"));
    const newest = this.#epochs.get(receiver) ?? 0;
    if (epoch < newest)
      return Promise.reject(new HoldfastError("STORE_FENCED", `${receiver}: ${epoch}, ${newest}`));
    this.#epochs.set(receiver, epoch);
    const texts = Array.from({ length: block.count }, (_, i) =>
      Buffer.from(copyOf(block, i)).toString(),
    );
    const { clock, storeTimeoutMs } = this.#parts;
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        receiver,
        epoch,
        texts,
        channel: block.channel,
        position: block.position?.slice(),
        bytes: texts.join("").length,
        deadlineMs: clock.monotonicMs() + storeTimeoutMs,
        resolve,
        reject,
      });
      this.#updatePressure();
      this.#schedule();
    });
  }

  fence(receiver: string, epoch: number): Promise<void> {
    if (!this.#isOpen) return Promise.reject(new HoldfastError("LOG_CLOSED", "closed"));
    this.#epochs.set(receiver, Math.max(epoch, this.#epochs.get(receiver) ?? 0));
    const blocks = new Set([...this.#flight, ...this.#waiting]);
    if (blocks.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push({ blocks, resolve }));
  }

  position(receiver: string, channel: string): Uint8Array | undefined {
    if (!this.#isOpen) throw new HoldfastError("LOG_CLOSED", "closed");
    return this.durable.findLast(
      (block) =>
        block.receiver === receiver && block.channel === channel && block.position !== undefined,
    )?.position;
  }

  keyed(): undefined {
    return undefined;
  }

  /** No room, or room again. */
  setFull(isFull: boolean): void {
    if (this.#isFull === isFull) return;
    this.#isFull = isFull;
    this.#timer?.();
    this.#timer = undefined;
    this.#updatePressure();
    this.#schedule();
  }

  /** A write fails: nothing that was accepted is stored, and what follows is refused until it is opened again. */
  fail(): void {
    this.#isOpen = false;
    this.#timer?.();
    this.#timer = undefined;
    this.#reject([...this.#flight.splice(0), ...this.#waiting.splice(0)], "LOG_FAILED");
    this.#updatePressure();
  }

  /** Opened again it knows what is on disk, and nothing of fences. */
  reopen(): void {
    if (this.#isOpen) return;
    this.#epochs.clear();
    for (const { receiver, epoch } of this.durable) this.#epochs.set(receiver, epoch);
    this.#isOpen = true;
  }

  /** The end: what still waits is not stored. */
  close(): void {
    this.#isOpen = false;
    this.#timer?.();
    this.#reject([...this.#flight.splice(0), ...this.#waiting.splice(0)], "LOG_CLOSED");
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#waiting.length + this.#flight.length === 0) return;
    const { clock, writeMs } = this.#parts;
    if (!this.#isFull && this.#flight.length === 0) {
      this.#flight = this.#waiting.splice(0);
      this.#updatePressure();
    }
    const head = this.#isFull ? this.#waiting[0] : this.#flight[0];
    if (head === undefined) return;
    this.#timer = clock.after(
      this.#isFull ? head.deadlineMs - clock.monotonicMs() : writeMs,
      () => {
        this.#timer = undefined;
        this.#step();
      },
    );
  }

  #step(): void {
    if (this.#isFull) this.#expire();
    else {
      const written = this.#flight.splice(0);
      for (const block of written) {
        this.durable.push(block);
        block.resolve({ firstOffset: this.durable.length, recordCount: block.texts.length });
      }
      this.#settled(written);
    }
    this.#schedule();
  }

  #expire(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const due = this.#waiting.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    this.#waiting = this.#waiting.filter(({ deadlineMs }) => deadlineMs > nowMs);
    this.#reject(due, "LOG_FULL");
    this.#updatePressure();
  }

  #reject(blocks: readonly Waiting[], code: "LOG_FULL" | "LOG_FAILED" | "LOG_CLOSED"): void {
    for (const block of blocks) block.reject(new HoldfastError(code, "not stored"));
    this.#settled(blocks);
  }

  #settled(blocks: readonly Waiting[]): void {
    for (const { blocks: open } of this.#drains) for (const block of blocks) open.delete(block);
    const done = this.#drains.filter(({ blocks: open }) => open.size === 0);
    this.#drains = this.#drains.filter(({ blocks: open }) => open.size > 0);
    for (const { resolve } of done) resolve();
  }

  #updatePressure(): void {
    const bytes = this.#waiting.reduce((sum, block) => sum + block.bytes, 0);
    const { pressureBytes, pressure } = this.#parts;
    const hasPressure =
      this.#isOpen &&
      (this.#isFull || bytes >= pressureBytes || (this.#hasPressure && bytes * 2 > pressureBytes));
    if (hasPressure === this.#hasPressure) return;
    this.#hasPressure = hasPressure;
    pressure(hasPressure);
  }
}
