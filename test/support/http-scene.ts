/**
 * The HTTP sink on a scripted server and a clock that stands still.
 */
import { equal } from "node:assert/strict";
import type { SinkSession, WriteResult } from "../../src/contract/sink.ts";
import { http, type HttpOptions } from "../../src/sink/http.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { ScriptedHttp } from "./scripted-http.ts";
import { type ChunkInput, jsonChunk, SinkPipeline } from "./sink-batch.ts";

/** A pipeline, its sink, and the server. */
export class HttpScene {
  readonly server: ScriptedHttp = new ScriptedHttp();
  readonly clock: VirtualClock = new VirtualClock();
  readonly disk: SimulatedDisk = new SimulatedDisk();
  readonly pipeline: SinkPipeline = new SinkPipeline(this.disk, this.clock);
  readonly options: HttpOptions;

  constructor(options: Partial<HttpOptions> = {}) {
    this.pipeline.httpClient = this.server;
    this.options = { url: "http://s:8080/rows?k=1", requestRecordsMax: 2, ...options };
  }

  open(): Promise<SinkSession<never>> {
    // The format is whatever a test says.
    return this.pipeline.open(http("out", this.options as HttpOptions & { format: "json" }));
  }

  /** Opens, writes and commits one batch, closes. */
  async run(...chunks: ChunkInput[]): Promise<WriteResult> {
    const session = await this.open();
    const result = await this.pipeline.run(session, chunks);
    await this.close(session);
    return result;
  }

  async close(session: SinkSession<never>): Promise<void> {
    await session.close(this.pipeline.abort.signal);
    equal(this.server.openCount, 0);
    equal(this.clock.timerCount, 0);
  }
}

/** Rows that are numbers, each its own record. */
export function numbers(count: number, from = 0): ChunkInput {
  return jsonChunk(Array.from({ length: count }, (_, index) => from + index));
}
