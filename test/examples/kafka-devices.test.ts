import { deepEqual } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { inDirectory } from "../cli/support.ts";
import { kafkaBroker, kafkaSkip } from "../services/kafka.ts";
import { produce } from "../receivers/kafka/topics.ts";
import { eventually } from "../support/deadline.ts";
import { repositoryRoot } from "../support/repository.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";
import { openSqlite, rowsOf } from "../support/sqlite-reader.ts";

const CONFIGURATION = join(repositoryRoot(), "examples", "kafka-devices", "holdfast.yaml");
const WAIT = { everyMs: 50, deadlineMs: 60_000 };

async function rowsIn(file: string): Promise<readonly unknown[]> {
  try {
    const database = await openSqlite(file);
    try {
      return Array.from(
        rowsOf(database, "readings", "device, temperature, at"),
        ({ device, temperature, at }) => [device, temperature, at],
      );
    } finally {
      database.close();
    }
  } catch {
    // Not made yet.
    return [];
  }
}

test("examples/kafka-devices: readings of a topic are rows once, over kill -9, and what is none is set aside", {
  skip: kafkaSkip(),
}, async () => {
  const broker = await kafkaBroker();
  try {
    await broker.createTopic("readings", { partitions: 1 });
    await inDirectory(async (directory) => {
      const start = (): RunningProgram =>
        new RunningProgram({
          arguments: [programPath, "run", CONFIGURATION],
          directory,
          environment: { KAFKA_BROKERS: broker.plain, DATA_DIR: join(directory, "data") },
        });
      const file = join(directory, "data", "readings.db");
      const reading = (device: string, temperature: number) => ({
        key: device,
        value: JSON.stringify({ temperature }),
        timestamp: "1764000000000",
      });
      await produce(broker, "readings", [
        reading("a", 20.5),
        { key: "a", value: "no json" },
        reading("b", 21),
      ]);
      const first = start();
      await eventually("two rows", async () => (await rowsIn(file)).length === 2, WAIT);
      await first.kill();
      await produce(broker, "readings", [reading("c", 22)]);
      const second = start();
      await eventually("a third row", async () => (await rowsIn(file)).length >= 3, WAIT);
      deepEqual(await second.stop(WAIT.deadlineMs), { code: 0, signal: null });
      deepEqual(await rowsIn(file), [
        ["a", 20.5, 1_764_000_000_000],
        ["b", 21, 1_764_000_000_000],
        ["c", 22, 1_764_000_000_000],
      ]);
    });
  } finally {
    await broker.remove();
  }
});
