/**
 * An ingest with a kafka receiver and nothing else: what its log holds is what the receiver has stored.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { kafka, type KafkaInput } from "../../../receivers/kafka/index.ts";
import { createIngest, type Ingest } from "../../../src/index.ts";
import type { AnyEvent } from "../../../src/contract/events.ts";
import { copyOf, type StoredBlock } from "../../../src/contract/record.ts";
import { realClock } from "../../../src/host/clock.ts";
import { realFiles } from "../../../src/host/real-files.ts";
import { openLogReader } from "../../../src/wal/directory-reader.ts";
import { silentLogger } from "../../support/logger.ts";
import { parkedCode, untilSo } from "./waits.ts";

/** A record of the log. */
export interface LoggedRecord {
  readonly channel: string;
  readonly value: string;
  readonly key: string;
  readonly timestampMs: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** See the file's head. Started again, it goes on with the same log. */
export class KafkaScene {
  readonly directory: string;
  readonly events: AnyEvent[] = [];
  readonly #options: KafkaInput;
  readonly #more: Partial<Parameters<typeof createIngest>[0]>;
  #ingest: Ingest | undefined;

  constructor(
    directory: string,
    options: KafkaInput,
    more: Partial<Parameters<typeof createIngest>[0]> = {},
  ) {
    this.directory = directory;
    this.#options = options;
    this.#more = more;
  }

  /** A scene in a folder that is removed after the test, with its ingest stopped. */
  static async make(
    context: TestContext,
    options: KafkaInput,
    more: Partial<Parameters<typeof createIngest>[0]> = {},
  ): Promise<KafkaScene> {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-kafka-"));
    const scene = new KafkaScene(directory, options, more);
    context.after(async () => {
      await scene.stop();
      await rm(directory, { recursive: true, force: true });
    });
    return scene;
  }

  async start(): Promise<Ingest> {
    this.#ingest = createIngest({
      directory: this.directory,
      receivers: [kafka("orders", this.#options)],
      pipelines: [],
      logger: silentLogger,
      listeners: [{ onEvent: (event) => void this.events.push(event) }],
      ...this.#more,
    });
    await this.#ingest.start();
    return this.#ingest;
  }

  async stop(): Promise<void> {
    const ingest = this.#ingest;
    this.#ingest = undefined;
    await ingest?.stop();
  }

  get isRunning(): boolean {
    return this.#ingest !== undefined;
  }

  get ingest(): Ingest {
    if (this.#ingest === undefined) throw new Error("the ingest does not run");
    return this.#ingest;
  }

  /** Records on disk. */
  get storedCount(): number {
    return this.ingest.snapshot().log.durableEnd;
  }

  async untilStored(count: number): Promise<void> {
    await this.until(`${count} records are stored`, () => this.storedCount >= count);
  }

  async until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
    await untilSo({ what, ask }, this.events);
  }

  /** Resolves with the code of the error with which the receiver has parked. */
  async untilParked(): Promise<string> {
    return await parkedCode(
      () => this.ingest.snapshot().units.find((each) => each.unit === "receivers/orders"),
      this.events,
    );
  }

  /** All records of the log, once the ingest has stopped. */
  async records(): Promise<readonly LoggedRecord[]> {
    const reader = await openLogReader({
      files: realFiles,
      clock: realClock,
      directory: join(this.directory, "log"),
    });
    const records: LoggedRecord[] = [];
    try {
      for await (const item of reader.read(0, new AbortController().signal)) {
        if (item.kind !== "records") throw new Error(`the log has a ${item.kind}`);
        for (let i = 0; i < item.block.count; i++) records.push(recordOf(item.block, i));
      }
    } finally {
      await reader.close();
    }
    return records;
  }
}

function recordOf(block: StoredBlock, recordIndex: number): LoggedRecord {
  const timestampMs = block.timestampsMs?.[recordIndex];
  const headers: unknown = JSON.parse(textOf(block.headers, recordIndex) || "{}");
  return {
    channel: block.channel,
    value: Buffer.from(copyOf(block, recordIndex)).toString(),
    key: textOf(block.keys, recordIndex),
    timestampMs: timestampMs === undefined || Number.isNaN(timestampMs) ? undefined : timestampMs,
    // The receiver writes objects of texts.
    headers: headers as Readonly<Record<string, string>>,
  };
}

function textOf(column: StoredBlock["keys"], recordIndex: number): string {
  if (column === undefined) return "";
  const start = recordIndex === 0 ? 0 : column.ends[recordIndex - 1];
  return Buffer.from(column.bytes.subarray(start, column.ends[recordIndex])).toString();
}
