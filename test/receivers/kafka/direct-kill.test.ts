/**
 * Our own process is killed between what the sink has and what the checkpoint has: every record is a row once.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type KafkaBroker,
  kafkaBroker,
  kafkaSkip,
  type KafkaVersion,
} from "../../services/kafka.ts";
import { within } from "../../support/deadline.ts";
import { RunningProgram } from "../../support/running-program.ts";
import { openSqlite, rowsOf } from "../../support/sqlite-reader.ts";
import { DirectScene } from "./direct-scene.ts";
import { produce } from "./topics.ts";

/** The oldest version that is promised: what differs between the two is the protocol. */
const VERSION: KafkaVersion = "3.9.2";
const skip = kafkaSkip(VERSION);
const childPath = fileURLToPath(new URL("direct-child.js", import.meta.url));

let broker: KafkaBroker;
before(async () => {
  if (skip === false) broker = await kafkaBroker({ version: VERSION });
});
after(async () => {
  if (skip === false) await broker.remove();
});

test("kafka direct 3.9.2: killed between sink and checkpoint, again and again, every record is a row once", {
  skip,
}, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-direct-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  await broker.createTopic("counted", { partitions: 3 });
  const messages = Array.from({ length: 900 }, (_, i) => ({
    value: String(i),
    partition: i % 3,
  }));
  await produce(broker, "counted", messages);
  // It is killed in the first batch, in the next, in one that is replayed before, and then not at all.
  let replayedCount = 0;
  for (const [killAt, signal] of [
    [1, "SIGKILL"],
    [2, "SIGKILL"],
    [5, "SIGKILL"],
    [0, null],
  ] as const) {
    const child = new RunningProgram({
      arguments: [childPath, directory, broker.plain, "counted", String(killAt)],
      directory,
    });
    const exit = await within(60_000, "the process ends", child.exited);
    assert.equal(exit.signal, signal, child.output);
    replayedCount += child.output.split("\n").filter((line) => line.startsWith("replayed")).length;
  }
  const database = await openSqlite(join(directory, "rows.db"));
  const rows = [...rowsOf(database, "rows", "number")].map(({ number }) => Number(number));
  database.close();
  assert.deepEqual(
    rows.toSorted((a, b) => a - b),
    messages.map((_, i) => i),
  );
  assert.equal(replayedCount, 3);
});

test("kafka direct 3.9.2: a topic that was made again is other partitions", {
  skip,
}, async (context) => {
  await broker.createTopic("again");
  await produce(broker, "again", [{ value: "1" }, { value: "2" }]);
  const scene = await DirectScene.make(context, { brokers: [broker.plain], topics: ["again"] });
  await scene.start();
  await scene.untilRows(2);
  await scene.stop();
  await broker.deleteTopic("again");
  await broker.createTopic("again");
  await produce(broker, "again", [{ value: "3" }, { value: "4" }, { value: "5" }]);
  await scene.start();
  await scene.untilRows(5);
  await scene.stop();
  assert.deepEqual(scene.sink.rows, [1, 2, 3, 4, 5]);
});
