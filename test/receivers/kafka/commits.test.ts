/**
 * When offsets are committed, and what a commit that fails means.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Commits } from "../../../receivers/kafka/commits.ts";
import { PartitionState } from "../../../receivers/kafka/partition.ts";
import type { HoldfastError } from "../../../src/errors.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { settle } from "../../support/receiver-harness.ts";

const INTERVAL_MS = 1_000;

class Scene {
  readonly clock = new VirtualClock();
  readonly sent: string[] = [];
  readonly failures: HoldfastError[] = [];
  readonly partitions = [0, 1].map(
    (partition) => new PartitionState({ topic: "orders", partition }),
  );
  readonly commits: Commits;
  refusal: Error | undefined;
  committedCount = 0;

  constructor() {
    this.commits = new Commits({
      owner: "orders",
      clock: this.clock,
      intervalMs: INTERVAL_MS,
      partitions: () => this.partitions,
      committed: () => void this.committedCount++,
      fail: (cause) => void this.failures.push(cause),
    });
    this.commits.send = ({ topics }) => {
      this.sent.push(
        topics
          .flatMap(({ partitions }) =>
            partitions.map(({ partition, offset }) => `${partition}:${offset}`),
          )
          .join(" "),
      );
      return this.refusal === undefined ? Promise.resolve() : Promise.reject(this.refusal);
    };
    for (const each of this.partitions) each.open({ next: 0, topicId: undefined, committed: 0 });
  }

  async durable(partition: number, offset: number): Promise<void> {
    this.partitions[partition]?.pass(offset);
    this.commits.due();
    await this.pass(0);
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await settle();
  }
}

test("kafka commits: the first at once, the next after the interval, with the newest offsets", async () => {
  const scene = new Scene();
  await scene.durable(0, 5);
  assert.deepEqual(scene.sent, ["0:5"]);
  await scene.durable(0, 6);
  await scene.durable(1, 3);
  await scene.durable(0, 7);
  assert.deepEqual(scene.sent, ["0:5"]);
  await scene.pass(INTERVAL_MS);
  assert.deepEqual(scene.sent, ["0:5", "0:7 1:3"]);
  await scene.pass(10 * INTERVAL_MS);
  assert.equal(scene.sent.length, 2, "nothing new, nothing sent");
  assert.equal(scene.committedCount, 2);
});

test("kafka commits: what another member has now is not committed", async () => {
  const scene = new Scene();
  const [first] = scene.partitions;
  assert.ok(first);
  first.phase = "foreign";
  await scene.durable(0, 5);
  await scene.durable(1, 2);
  assert.deepEqual(scene.sent, ["1:2"]);
});

test("kafka commits: a group that joins again is no failure", async () => {
  const scene = new Scene();
  scene.refusal = Object.assign(new Error("again"), { type: "ILLEGAL_GENERATION" });
  for (let offset = 1; offset < 20; offset++) {
    await scene.durable(0, offset);
    await scene.pass(INTERVAL_MS);
  }
  assert.deepEqual(scene.failures, []);
});

test("kafka commits: the next one covers a lost one; five lost in a row are KAFKA_FAILED", async () => {
  const scene = new Scene();
  scene.refusal = new Error("lost");
  await scene.durable(0, 5);
  await scene.pass(3 * INTERVAL_MS);
  assert.deepEqual(scene.sent, ["0:5", "0:5", "0:5", "0:5"]);
  assert.deepEqual(scene.failures, []);
  scene.refusal = undefined;
  await scene.pass(INTERVAL_MS);
  assert.equal(scene.sent.length, 5);
  scene.refusal = new Error("lost again");
  await scene.durable(0, 9);
  await scene.pass(6 * INTERVAL_MS);
  assert.deepEqual(
    scene.failures.map(({ code }) => code),
    ["KAFKA_FAILED"],
  );
});

test("kafka commits: one that is not allowed fails at once", async () => {
  const scene = new Scene();
  scene.refusal = Object.assign(new Error("no"), { type: "GROUP_AUTHORIZATION_FAILED" });
  await scene.durable(0, 5);
  assert.deepEqual(
    scene.failures.map(({ code }) => code),
    ["KAFKA_UNAUTHORIZED"],
  );
});

test("kafka commits: closed, only flush sends", async () => {
  const scene = new Scene();
  scene.commits.close();
  await scene.durable(0, 5);
  await scene.pass(10 * INTERVAL_MS);
  assert.deepEqual(scene.sent, []);
  await scene.commits.flush();
  assert.deepEqual(scene.sent, ["0:5"]);
});
