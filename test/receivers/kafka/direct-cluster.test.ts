/**
 * What the direct source makes of a cluster's errors: leaders that move, topics that went, clients that are limited. The brokers
 * are scripts; kafkajs is not there.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import type { Cluster } from "kafkajs";
import { GONE_TRIES, KafkaCluster, LEADER_TRIES } from "../../../receivers/kafka/direct-cluster.ts";
import { kafkaDirect } from "../../../receivers/kafka/index.ts";
import type { KafkaDirectOptions } from "../../../receivers/kafka/options.ts";
import { keyed } from "../../../receivers/kafka/partition-key.ts";
import type { RequestSender } from "../../../receivers/kafka/wire.ts";
import { FORCED_CLOSE_MS } from "../../../src/actor/incarnation.ts";
import { realClock } from "../../../src/host/clock.ts";
import { realFiles } from "../../../src/host/real-files.ts";
import { createSeededRandom } from "../../../src/testing/seeded-random.ts";
import { within } from "../../support/deadline.ts";
import { silentLogger } from "../../support/logger.ts";

const OLD = "000102030405060708090a0b0c0d0e0f";
const NEW = "f00102030405060708090a0b0c0d0e0f";
const partition = keyed("orders", 0, OLD);

/** Answers of a broker: the protocol's error, or `limited` for one without the partition. */
type Answer = number | "limited";

function fetchAnswer(answer: Answer): string {
  const head = "00 00000000 0000 00000000";
  if (answer === "limited") return `${head} 01 00`;
  const code = answer.toString(16).padStart(4, "0");
  const ends = "0000000000000020 0000000000000020 0000000000000010";
  return `${head} 02 ${OLD} 02 00000000 ${code} ${ends} 01 ffffffff 01 00 00 00`;
}

/** No brokers, one topic without partitions. */
function metadataAnswer(id: string): string {
  const name = Buffer.from("orders").toString("hex");
  return `00 00000000 01 01 00000001 02 0000 07 ${name} ${id} 00 01 80000000 00 00`;
}

/** One broker that answers as it is told, the last answer again and again. */
class FakeKafka {
  readonly answers: Answer[];
  topicId: string = OLD;
  refreshCount = 0;
  fetchCount = 0;
  /** Topics that are no more. */
  readonly deleted: string[] = [];
  sleptMs = 0;
  /** The last time that was set on the clock, which is over at once. */
  afterMs = 0;
  closedCount = 0;
  disconnected: Promise<void> = Promise.reject(new Error("it is gone"));
  /** Thrown by the next questions for offsets. */
  readonly offsetErrors: Error[] = [];
  readonly cluster: KafkaCluster;

  constructor(...answers: Answer[]) {
    this.answers = answers;
    this.disconnected.catch(() => undefined);
    const { options } = kafkaDirect("orders", { brokers: ["b:9092"], topics: ["orders"] });
    this.cluster = new KafkaCluster(
      {
        // Decode boundary: as its own factory has resolved them.
        options: options as KafkaDirectOptions,
        label: "orders: b:9092",
        tls: undefined,
        clock: {
          ...realClock,
          sleep: async (ms) => {
            this.sleptMs += ms;
          },
          after: (ms, call) => {
            this.afterMs = ms;
            return realClock.after(0, call);
          },
        },
        logger: silentLogger,
        signal: new AbortController().signal,
      },
      {
        // Decode boundary: what is used of it.
        cluster: this.#cluster() as Cluster,
        disconnect: () => this.disconnected,
        closeSockets: () => void this.closedCount++,
        opened: () => undefined,
      },
    );
  }

  #cluster(): Partial<Cluster> {
    const targetTopics = new Set(["orders"]);
    const range = { minVersion: 0, maxVersion: 13 };
    const broker = { versions: { 1: range, 3: range }, connectionPool: this.#sender() };
    const cluster: Partial<Cluster> = {
      getNodeIds: () => [1],
      addTargetTopic: async (topic) => void targetTopics.add(topic),
      refreshMetadata: async () => {
        this.refreshCount++;
        const type = "UNKNOWN_TOPIC_OR_PARTITION";
        for (const topic of this.deleted)
          if (targetTopics.has(topic)) throw Object.assign(new Error(topic), { type });
      },
      findTopicPartitionMetadata: () => [{ partitionId: 0 }] as never,
      findLeaderForPartitions: () => ({ 1: [0] }),
      findBroker: () => Promise.resolve(broker as never),
      fetchTopicsOffset: async ([topic]) => {
        const error = this.offsetErrors.shift();
        if (error !== undefined) throw error;
        const offset = topic?.fromBeginning === true ? "16" : "32";
        return [{ topic: "orders", partitions: [{ partition: 0, offset }] }] as never;
      },
    };
    // kafkajs declares neither this nor that it is there.
    return Object.assign(cluster, { targetTopics });
  }

  #sender(): RequestSender {
    return {
      send: async ({ request, response }) => {
        const hex = request.apiKey === 3 ? metadataAnswer(this.topicId) : fetchAnswer(this.#next());
        return response.parse(await response.decode(Buffer.from(hex.replaceAll(" ", ""), "hex")));
      },
    };
  }

  #next(): Answer {
    this.fetchCount++;
    const [first = 0] = this.answers;
    if (this.answers.length > 1) this.answers.shift();
    return first;
  }
}

for (const [title, answers] of [
  ["a leader that moves", [6, 5, 74, 0]],
  ["a broker that does not know the topic yet", [3, 100, 0]],
  ["a broker that limits its clients", ["limited", "limited", 0]],
] as const)
  test(`kafka direct cluster: ${title} is asked again`, async () => {
    const fake = new FakeKafka(...answers);
    const result = await fake.cluster.fetch(partition, 16, 1_024);
    assert.deepEqual(result.kind === "fetched" && [result.begin, result.end], [16, 32]);
    assert.equal(fake.fetchCount, answers.length);
    assert.equal(fake.refreshCount, answers.length - 1);
    assert.ok(fake.sleptMs > 0);
  });

test("kafka direct cluster: a partition counts as gone when another id was seen again and again", async () => {
  const fake = new FakeKafka(100);
  fake.topicId = NEW;
  assert.deepEqual(await fake.cluster.fetch(partition, 16, 1_024), { kind: "gone" });
  assert.equal(fake.fetchCount, GONE_TRIES);
});

for (const [title, answer, code, tries] of [
  ["a topic that stays away", 3, "KAFKA_TOPIC_UNKNOWN", LEADER_TRIES],
  ["a leader that does not come", 6, "KAFKA_FAILED", LEADER_TRIES],
  ["an access list that says no", 29, "KAFKA_UNAUTHORIZED", 1],
  ["a batch that the broker finds damaged", 2, "KAFKA_FAILED", 1],
] as const)
  test(`kafka direct cluster: ${title} is ${code}`, async () => {
    const fake = new FakeKafka(answer);
    await assert.rejects(fake.cluster.fetch(partition, 16, 1_024), {
      code,
      message: /orders-0.*error/,
    });
    assert.equal(fake.fetchCount, tries);
  });

test("kafka direct cluster: a quota that lets no batch through is told as what it is", async () => {
  const fake = new FakeKafka("limited");
  await assert.rejects(fake.cluster.fetch(partition, 16, 1_024), {
    code: "KAFKA_FAILED",
    message:
      /orders-0: a broker has answered 25 times without the partition, as it does beyond a quota/,
  });
  assert.equal(fake.fetchCount, LEADER_TRIES);
});

test("kafka direct cluster: a topic that only an old plan names may go when the plan is read", async () => {
  const fake = new FakeKafka(0);
  await fake.cluster.fetch(keyed("left", 0, OLD), 16, 1_024);
  fake.deleted.push("left");
  assert.deepEqual(await fake.cluster.partitions(), [partition]);
  assert.equal(fake.refreshCount, 1);
  // And while others are asked again.
  await fake.cluster.fetch(keyed("left", 0, OLD), 16, 1_024);
  fake.answers.unshift(6);
  await fake.cluster.fetch(partition, 16, 1_024);
  assert.equal(fake.refreshCount, 2);
});

test("kafka direct cluster: an offset that is none of the partition's brings its begin and its end", async () => {
  const fake = new FakeKafka(1);
  const outside = { kind: "outside", begin: 16, end: 32 };
  assert.deepEqual(await fake.cluster.fetch(partition, 3, 1_024), outside);
});

test("kafka direct cluster: offsets are left out when the id is another one behind them", async () => {
  const fake = new FakeKafka(0);
  assert.deepEqual([...(await fake.cluster.offsets([partition], "end"))], [[partition.key, 32]]);
  fake.topicId = NEW;
  assert.equal((await fake.cluster.offsets([partition], "end")).size, 0);
});

test("kafka direct cluster: offsets are asked for again while a leader moves, and not when a connection breaks", async () => {
  const fake = new FakeKafka(0);
  const moving = Object.assign(new Error("moved"), { type: "NOT_LEADER_FOR_PARTITION" });
  fake.offsetErrors.push(moving, moving);
  assert.equal((await fake.cluster.offsets([partition], "begin")).get(partition.key), 16);
  assert.equal(fake.refreshCount, 2);
  const broken = Object.assign(new Error("closed"), { name: "KafkaJSConnectionClosedError" });
  fake.offsetErrors.push(broken);
  await assert.rejects(fake.cluster.offsets([partition], "begin"), { code: "CONNECTION_FAILED" });
  assert.equal(fake.refreshCount, 2);
  fake.offsetErrors.push(...Array.from({ length: LEADER_TRIES }, () => moving));
  await assert.rejects(fake.cluster.offsets([partition], "begin"), { code: "KAFKA_FAILED" });
});

test("kafka direct cluster: a broker that does not answer is let go of before a forced close is over", async () => {
  const fake = new FakeKafka(0);
  fake.disconnected = new Promise(() => undefined);
  await fake.cluster.close();
  assert.equal(fake.closedCount, 1);
  assert.ok(fake.afterMs < FORCED_CLOSE_MS, `${fake.afterMs} ms`);
});

test("kafka direct: opening ends with its incarnation, whatever the broker does not answer", async (context) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on("error", () => undefined)));
  context.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const brokers = [`127.0.0.1:${address.port}`];
  const source = kafkaDirect("orders", { brokers, topics: ["orders"] });
  const abort = new AbortController();
  const opening = source.open({
    name: "orders",
    options: source.options,
    pipeline: "rows",
    signal: abort.signal,
    clock: realClock,
    random: createSeededRandom(1),
    files: realFiles,
    logger: silentLogger,
    dial: (_, connect) => connect(),
    fail: () => undefined,
  });
  await once(server, "connection");
  abort.abort();
  await within(5_000, "it is given up", assert.rejects(opening));
  const [socket] = sockets;
  assert.ok(socket !== undefined);
  if (!socket.closed) await once(socket, "close");
});

test("kafka direct cluster: closing twice is one, and what closing meets is nobody's business", async () => {
  const fake = new FakeKafka(0);
  const closing = fake.cluster.close();
  assert.equal(fake.cluster.close(), closing);
  await closing;
  // Nothing is asked again once it is closed.
  fake.offsetErrors.push(Object.assign(new Error("moved"), { type: "LEADER_NOT_AVAILABLE" }));
  await assert.rejects(fake.cluster.offsets([partition], "begin"), { code: "KAFKA_FAILED" });
});
