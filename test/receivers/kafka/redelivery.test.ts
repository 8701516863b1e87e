/**
 * Whatever kafkajs fetches again, the log refuses or the group moves: each record is stored once, in order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { kafka } from "../../../receivers/kafka/index.ts";
import { Batches, type BatchOwner, type Fetched } from "../../../receivers/kafka/batches.ts";
import { Gate } from "../../../receivers/kafka/gate.ts";
import type { KafkaOptions } from "../../../receivers/kafka/options.ts";
import { PartitionState } from "../../../receivers/kafka/partition.ts";
import { decodePosition } from "../../../receivers/kafka/position.ts";
import type { Receiver, ReceiverContext } from "../../../src/contract/receiver.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { ReceiverHarness, settle } from "../../support/receiver-harness.ts";
import { manyRuns } from "../../support/runs.ts";

const LIMIT = 64;

/** A partition at a broker, the cursor of a client, and a log that a test commits by hand. */
class World {
  readonly harness: ReceiverHarness;
  readonly partition = new PartitionState({ topic: "orders", partition: 0 });
  readonly gate = new Gate();
  /** What the broker has: offsets with holes, as compaction and marks of transactions leave them. */
  readonly offsets: readonly number[];
  readonly end: number;
  readonly #batches: Batches;
  readonly #context: ReceiverContext<KafkaOptions>;
  /** Where the client fetches next. */
  cursor = 0;
  #isTaking = false;
  isPausedAtClient = false;

  private constructor(
    holes: readonly number[],
    context: ReceiverContext<KafkaOptions>,
    harness: ReceiverHarness,
  ) {
    this.harness = harness;
    this.#context = context;
    let offset = -1;
    this.offsets = holes.map((hole) => (offset += 1 + hole));
    this.end = offset + 1;
    const owner: BatchOwner = {
      context: this.#context,
      label: "orders",
      gate: this.gate,
      find: () => this.partition,
      check: () => this.#check(),
      stored: () => undefined,
      leave: () => {
        this.isPausedAtClient = true;
      },
    };
    this.#batches = new Batches(owner);
  }

  static async make(holes: readonly number[]): Promise<World> {
    const harness = new ReceiverHarness({ inflightBytesMax: LIMIT });
    const gates: Gate[] = [];
    let context: ReceiverContext<KafkaOptions> | undefined;
    const made = kafka("orders", {
      brokers: ["broker:9092"],
      topics: ["orders"],
      messageBytesMax: 16,
    });
    const receiver: Receiver = {
      ...made,
      open: (given) => {
        // Decode boundary: the options are those of the value above.
        context = given as ReceiverContext<KafkaOptions>;
        return Promise.resolve({
          pause: () => gates.forEach((gate) => gate.pause()),
          resume: () => gates.forEach((gate) => gate.resume()),
          close: () => undefined,
        });
      },
    };
    await harness.open(receiver);
    assert.ok(context);
    const world = new World(holes, context, harness);
    gates.push(world.gate);
    world.partition.open({ next: 0, topicId: undefined, committed: undefined });
    return world;
  }

  /** One fetch from the cursor; while it is held nothing else is fetched. */
  async fetch(count: number): Promise<void> {
    if (this.#isTaking || this.isPausedAtClient) return;
    const fetchedOffset = String(this.cursor);
    const offsets = this.offsets.filter((offset) => offset >= this.cursor).slice(0, count);
    if (offsets.length === 0) return;
    const payload: Fetched = {
      batch: {
        topic: "orders",
        partition: 0,
        messages: offsets.map((offset) => ({
          offset: String(offset),
          value: Buffer.from(
            offset % 7 === 3 ? `too long ${"-".repeat(20)}${offset}` : String(offset),
          ),
          key: null,
          timestamp: "1",
          headers: {},
        })),
        lastOffset: () => String(offsets.at(-1)),
        fetchedOffset,
      },
      resolveOffset: (offset) => {
        this.cursor = Number(offset) + 1;
      },
      heartbeat: () => Promise.resolve(),
    };
    this.#isTaking = true;
    void this.#batches.take(payload).finally(() => {
      this.#isTaking = false;
    });
    await settle();
  }

  /** The client says that there are no records from where it fetched up to this offset. */
  pass(lastOffset: number): void {
    this.#batches.passed({ topic: "orders", partition: 0, lastOffset: String(lastOffset) });
  }

  /** The client went back, or forward, by itself. */
  rewind(offset: number): void {
    if (!this.#isTaking) this.cursor = Math.min(offset, this.end - 1);
  }

  /** Another member had the partition for a moment. */
  rejoin(): void {
    this.partition.phase = "foreign";
    this.#check();
  }

  async failOldest(): Promise<void> {
    await this.harness.failOldest(new HoldfastError("LOG_FULL", "full"));
  }

  async resume(): Promise<void> {
    this.harness.resume();
    this.isPausedAtClient = false;
    await settle();
  }

  /** Until nothing is left at the broker. */
  async drain(): Promise<void> {
    for (let i = 0; (this.partition.durable ?? 0) < this.end; i++) {
      assert.ok(i < 1_000, `stuck at ${this.partition.durable} of ${this.end}`);
      await this.resume();
      await this.fetch(5);
      await this.harness.commit();
      await settle();
    }
  }

  /** As the session does it, without asking anybody. */
  #check(): void {
    this.partition.phase = "checking";
    const reopen = (): void => {
      this.partition.open({
        next: this.partition.next ?? 0,
        topicId: undefined,
        committed: undefined,
      });
      this.cursor = this.partition.next ?? 0;
    };
    void Promise.resolve(this.partition.settled).then(reopen);
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("fetch" as const),
      size: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("commit" as const),
      size: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("fail", "pause", "resume", "rejoin", "late"),
      size: fc.constant(0),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rewind" as const), size: fc.nat(60) }) },
);

async function play(world: World, kind: string, size: number): Promise<void> {
  switch (kind) {
    case "fetch":
      return await world.fetch(size);
    case "commit":
      return await world.harness.commit(size);
    case "fail":
      return await world.failOldest();
    case "pause":
      return world.harness.pause();
    case "resume":
      return await world.resume();
    case "rejoin":
      return world.rejoin();
    case "late":
      return world.harness.clock.advance(3_000);
    default:
      return world.rewind(size);
  }
}

test("kafka properties: each record is stored once, in order, whatever is fetched again, refused or moved", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(2), { minLength: 1, maxLength: 40 }),
      fc.array(step, { maxLength: 40 }),
      async (holes, steps) => {
        const world = await World.make(holes);
        for (const { kind, size } of steps) await play(world, kind, size);
        await world.drain();
        const { durable, setAside, failures, positions } = world.harness;
        const isTooLong = (offset: number): boolean => offset % 7 === 3;
        assert.deepEqual(failures, []);
        assert.deepEqual(durable, world.offsets.filter((offset) => !isTooLong(offset)).map(String));
        // What was set aside before the position passed it may be set aside again, and is never left out.
        assert.deepEqual(
          [...new Set(setAside.map(({ text, code }) => `${code} ${text.split("-").at(-1)}`))],
          world.offsets.filter(isTooLong).map((offset) => `MESSAGE_TOO_LONG ${offset}`),
        );
        assert.equal(
          decodePosition("orders-0", positions.get("orders-0") ?? new Uint8Array(0)).next,
          world.end,
        );
      },
    ),
    manyRuns,
  ));

test("kafka: a batch without records that was fetched before a block was refused passes over nothing", async () => {
  const world = await World.make([0, 0]);
  await world.fetch(2);
  assert.deepEqual(world.harness.inflightBlocks, [["0", "1"]]);
  await world.failOldest();
  await settle();
  assert.deepEqual([world.partition.next, world.cursor], [0, 0]);
  // Fetched from 2 on, and held by the client meanwhile: marks of transactions, up to 5.
  world.pass(5);
  await settle();
  assert.deepEqual([world.partition.next, world.partition.durable], [0, 0]);
  await world.drain();
  assert.deepEqual(world.harness.durable, ["0", "1"]);
});

test("kafka: a batch without records moves the position, also where one was refused and is gone since", async () => {
  const world = await World.make([0, 0]);
  await world.fetch(1);
  await world.harness.commit();
  world.pass(3);
  assert.deepEqual([world.partition.next, world.partition.durable], [4, 4]);
  const other = await World.make([0, 0]);
  await other.fetch(2);
  await other.failOldest();
  await settle();
  for (let looks = 0; looks < 2; looks++) {
    other.pass(1);
    await settle();
  }
  assert.deepEqual([other.partition.next, other.partition.durable], [2, 2]);
});
