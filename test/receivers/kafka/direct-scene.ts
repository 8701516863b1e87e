/**
 * An ingest whose one pipeline reads topics directly into a sink that remembers its rows.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { kafkaDirect, type KafkaDirectInput } from "../../../receivers/kafka/index.ts";
import type { AnyEvent } from "../../../src/contract/events.ts";
import { createIngest, from, type Ingest, json, pipeline } from "../../../src/index.ts";
import { silentLogger } from "../../support/logger.ts";
import { RecordingSink } from "../../support/sinks.ts";
import { parkedCode, untilSo } from "./waits.ts";

/** See the file's head. Started again, it goes on with the same checkpoint and the same sink. */
export class DirectScene {
  readonly sink: RecordingSink = new RecordingSink("out");
  readonly events: AnyEvent[] = [];
  readonly #directory: string;
  readonly #options: KafkaDirectInput;
  readonly #batchRecordsMax: number;
  #ingest: Ingest | undefined;

  constructor(directory: string, options: KafkaDirectInput, batchRecordsMax: number) {
    this.#directory = directory;
    this.#options = options;
    this.#batchRecordsMax = batchRecordsMax;
  }

  /** In a folder that is removed after the test, with its ingest stopped. */
  static async make(
    context: TestContext,
    options: KafkaDirectInput,
    batchRecordsMax = 10_000,
  ): Promise<DirectScene> {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-direct-"));
    const scene = new DirectScene(directory, { pollMs: 20, ...options }, batchRecordsMax);
    context.after(async () => {
      await scene.stop();
      await rm(directory, { recursive: true, force: true });
    });
    return scene;
  }

  async start(): Promise<void> {
    const orders = kafkaDirect("orders", this.#options);
    this.#ingest = createIngest({
      directory: this.#directory,
      receivers: [],
      pipelines: [
        pipeline("rows", {
          outputs: [from(orders).decode(json()).writeTo(this.sink)],
          batchRecordsMax: this.#batchRecordsMax,
        }),
      ],
      logger: silentLogger,
      listeners: [{ onEvent: (event) => void this.events.push(event) }],
    });
    await this.#ingest.start();
  }

  async stop(): Promise<void> {
    const ingest = this.#ingest;
    this.#ingest = undefined;
    await ingest?.stop({ timeoutMs: 5_000 });
  }

  /** Rows in the order of their numbers. */
  get sorted(): readonly number[] {
    return this.sink.rows.map(Number).toSorted((a, b) => a - b);
  }

  async untilRows(count: number): Promise<void> {
    await this.until(`${count} rows are written`, () => this.sink.rows.length >= count);
  }

  async until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
    await untilSo({ what, ask }, this.events);
  }

  /** Resolves with the code of the error with which the pipeline has parked. */
  async untilParked(): Promise<string> {
    return await parkedCode(
      () => this.#ingest?.snapshot().units.find((each) => each.unit === "pipelines/rows"),
      this.events,
    );
  }

  of<K extends AnyEvent["kind"]>(kind: K): readonly Extract<AnyEvent, { kind: K }>[] {
    return this.events.filter(
      (event): event is Extract<AnyEvent, { kind: K }> => event.kind === kind,
    );
  }
}
