/**
 * A log in memory, as a source: one partition, blocks as they were sent.
 */
import type { LogItem, Offsets } from "../contract/log.ts";
import { LOG_PARTITION, LOG_SOURCE } from "../batch/log-source.ts";
import type { StoredBlock } from "../contract/record.ts";
import type { BatchBounds, Source } from "../contract/source.ts";

/** One record as it was sent. */
interface Sent {
  readonly receiver: string;
  readonly value: Uint8Array;
  readonly receivedAtMs: number;
}

/** Grows by `send`; every record is a block of its own when it is read. */
export class MemorySource implements Source {
  readonly name: string = LOG_SOURCE;
  readonly #sent: Sent[] = [];

  send(receiver: string, value: Uint8Array, receivedAtMs: number): void {
    this.#sent.push({ receiver, value, receivedAtMs });
  }

  latest(): Promise<Offsets> {
    return Promise.resolve({ [LOG_PARTITION]: this.#sent.length });
  }

  oldest(): Promise<Offsets> {
    return Promise.resolve({ [LOG_PARTITION]: 0 });
  }

  bounded(from: Offsets, { recordsMax }: BatchBounds): Promise<Offsets> {
    return Promise.resolve({
      [LOG_PARTITION]: Math.min(this.#sent.length, (from[LOG_PARTITION] ?? 0) + recordsMax),
    });
  }

  /** A test runs batches by hand: nothing ever waits here. */
  waitFor(): Promise<void> {
    return Promise.resolve();
  }

  async *read({
    from,
    to,
  }: {
    readonly from: number;
    readonly to: number;
  }): AsyncGenerator<LogItem> {
    for (const [index, sent] of this.#sent.slice(from, to).entries())
      yield { kind: "records", block: blockOf(sent, from + index) };
  }

  lag(ends: Offsets): number {
    return this.#sent.length - (ends[LOG_PARTITION] ?? 0);
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}

function blockOf({ receiver, value, receivedAtMs }: Sent, firstOffset: number): StoredBlock {
  return {
    receiver,
    firstOffset,
    partition: 0,
    count: 1,
    values: value,
    valuesStart: 0,
    valueEnds: Uint32Array.of(value.length),
    delimiterBytes: 0,
    channel: "",
    receivedAtMs: () => receivedAtMs,
  };
}
