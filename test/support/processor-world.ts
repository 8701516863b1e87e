/** What a pipeline's processors need, over as many of them as a test opens. */
import { createPools } from "../../src/pool/registry.ts";
import { Processor, type ProcessorParts } from "../../src/batch/processor.ts";
import type { AnyEvent, Emit } from "../../src/contract/events.ts";
import type { Pipeline } from "../../src/contract/graph.ts";
import type { Receiver } from "../../src/contract/receiver.ts";
import type { UnitContext } from "../../src/contract/unit.ts";
import { realHttpClient } from "../../src/host/real-http-client.ts";
import { compile } from "../../src/operator/compile.ts";
import { pipeline, type PipelineOptions } from "../../src/operator/pipeline.ts";
import { from } from "../../src/operator/stream.ts";
import { json } from "../../src/record/decoders.ts";
import { MemoryLetters } from "../../src/testing/memory-ledger.ts";
import { receiverNamed } from "./blocks.ts";
import { FailingLedger, MemorySource } from "./memory-log.ts";
import { silentLogger } from "./logger.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { RecordingSink } from "./sinks.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { unitContext } from "./unit-context.ts";

export const meters: Receiver<"meters"> = receiverNamed("meters");

/** A pipeline over a log that outlasts its incarnations. */
export class World {
  readonly source: MemorySource = new MemorySource();
  readonly ledger: FailingLedger = new FailingLedger();
  readonly letters: MemoryLetters = new MemoryLetters();
  readonly clock: VirtualClock = new VirtualClock();
  readonly sink: RecordingSink = new RecordingSink("out");
  readonly events: AnyEvent["kind"][] = [];
  readonly definition: Pipeline;
  #abort = new AbortController();

  constructor(options: Partial<PipelineOptions<"meters">> = {}) {
    const output = from(meters).decode(json()).writeTo(this.sink);
    this.definition = pipeline("p", { outputs: [output], ...options });
  }

  parts(): ProcessorParts {
    const emit: Emit = (kind) => void this.events.push(kind);
    return {
      pipeline: this.definition,
      graphHash: "h",
      compile: (failed) => compile(this.definition, failed),
      decide: () => "resume",
      source: this.source,
      ledger: this.ledger,
      deadLetters: this.letters,
      clock: this.clock,
      random: createSeededRandom(1),
      pool: createPools({ clock: this.clock, random: createSeededRandom(1), emit }).create,
      files: new SimulatedDisk(),
      httpClient: realHttpClient,
      logger: silentLogger,
      emit,
      committed: () => undefined,
    };
  }

  open(parts: Partial<ProcessorParts> = {}): Promise<Processor> {
    this.#abort = new AbortController();
    const unit: UnitContext = {
      ...unitContext(),
      path: "pipelines/p",
      epoch: 1,
      signal: this.#abort.signal,
      fail: () => undefined,
      alive: () => undefined,
    };
    return Processor.open({ ...this.parts(), ...parts }, unit);
  }

  /** Runs until what is there is processed, then stops cleanly. */
  async runAll(): Promise<void> {
    const processor = await this.open();
    const running = processor.run();
    try {
      await processor.drain(new AbortController().signal);
    } finally {
      await processor.close(new AbortController().signal);
    }
    await running;
  }
}
