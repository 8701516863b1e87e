/**
 * The receiver and a real broker when one of them is killed, members come and go, or the log has no room.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { kafka, type KafkaInput } from "../../../receivers/kafka/index.ts";
import { RunningProgram } from "../../support/running-program.ts";
import { type KafkaBroker, kafkaBroker, kafkaSkip } from "../../services/kafka.ts";
import { KafkaScene } from "./scene.ts";
import { asAdmin, committedOf, produce, recordCountOf, valuesOf } from "./topics.ts";
import { assertNoneTwice, countsOf, Traffic } from "./traffic.ts";

const skip = kafkaSkip("4.4.0");
/** A member that is killed is gone soon. */
const QUICK = { sessionTimeoutMs: 3_000, heartbeatMs: 300, maxWaitMs: 50 } as const;
const MEMBER = fileURLToPath(new URL("member.js", import.meta.url));

let broker: KafkaBroker;
before(async () => {
  if (skip === false) broker = await kafkaBroker({ version: "4.4.0" });
});
after(async () => {
  if (skip === false) await broker.remove();
});

const numbered = (count: number, from = 0): { value: string }[] =>
  Array.from({ length: count }, (_, i) => ({ value: String(from + i) }));

test("kafka: kill -9 between the fsync and the commit repeats nothing", {
  skip,
}, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-kafka-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  await broker.createTopic("killed", { partitions: 2 });
  // One commit, with the first block; all that follows is in the log only.
  const options: KafkaInput = {
    ...QUICK,
    brokers: [broker.plain],
    topics: ["killed"],
    group: "killed",
    commitIntervalMs: 600_000,
  };
  const program = new RunningProgram({
    arguments: [MEMBER, directory, JSON.stringify(options)],
    directory,
  });
  await produce(broker, "killed", numbered(10));
  await program.line(/^stored 10$/);
  await produce(broker, "killed", numbered(500, 10));
  await program.line(/^stored 510$/);
  program.signal("SIGKILL");
  await program.exited;
  assert.ok(
    Number(await committedOf(broker, "killed", "killed")) < 510,
    "the group knows less than the log",
  );
  const scene = new KafkaScene(directory, options);
  context.after(() => scene.stop());
  await scene.start();
  await produce(broker, "killed", numbered(5, 510));
  await scene.untilStored(515);
  await scene.stop();
  assert.deepEqual(
    valuesOf(await scene.records()),
    numbered(515).map(({ value }) => value),
  );
});

test("kafka: stopped, it has left its group and keeps neither sockets nor timers", {
  skip,
}, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-kafka-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  await broker.createTopic("left");
  await produce(broker, "left", numbered(10));
  const options: KafkaInput = { brokers: [broker.plain], topics: ["left"], group: "left" };
  const program = new RunningProgram({
    arguments: [MEMBER, directory, JSON.stringify(options)],
    directory,
  });
  await program.line(/^stored 10$/);
  program.signal("SIGTERM");
  const { code } = await program.exited;
  assert.equal(code, 0, program.output);
  await program.line(/^stopped$/).catch(() => assert.fail(program.output));
  const state = await asAdmin(broker, async (admin) => {
    const { groups } = await admin.describeGroups(["left"]);
    return groups.map(({ state: each }) => each);
  });
  assert.deepEqual(state, ["Empty"]);
});

test("kafka: kill -9 of the broker under traffic: what it acknowledged is stored once", {
  skip,
}, async (context) => {
  await broker.createTopic("shaken", { partitions: 3 });
  const scene = await KafkaScene.make(context, {
    ...QUICK,
    brokers: [broker.plain],
    topics: ["shaken"],
  });
  await scene.start();
  const traffic = new Traffic([broker.plain], "shaken", 3);
  traffic.start();
  await scene.untilStored(50);
  await broker.kill();
  await broker.start();
  const before = scene.storedCount;
  await scene.untilStored(before + 50);
  await traffic.stop();
  const total = await recordCountOf(broker, "shaken");
  await scene.untilStored(total);
  await scene.stop();
  const values = valuesOf(await scene.records());
  traffic.assertStoredOnce(values);
});

test("kafka: members that come and go lose nothing, and no log has a record twice", {
  skip,
}, async (context) => {
  await broker.createTopic("storm", { partitions: 6 });
  // They leave in order; none is to be put out of the group on a slow machine.
  const options: KafkaInput = {
    ...QUICK,
    sessionTimeoutMs: 60_000,
    brokers: [broker.plain],
    topics: ["storm"],
    group: "storm",
  };
  const members = [
    await KafkaScene.make(context, options),
    await KafkaScene.make(context, options),
    await KafkaScene.make(context, options),
  ] as const;
  const counts = [0, 0, 0];
  const traffic = new Traffic([broker.plain], "storm", 6);
  await Promise.all(members.map((member) => member.start()));
  traffic.start();
  const stored = (): number =>
    members.reduce((sum, member, i) => {
      counts[i] = member.isRunning ? member.storedCount : (counts[i] ?? 0);
      return sum + (counts[i] ?? 0);
    }, 0);
  for (let round = 0; round < 9; round++) {
    const member = members[round % 3] ?? members[0];
    const target = traffic.acknowledged.length + 20;
    await member.until("more is acknowledged", () => traffic.acknowledged.length >= target);
    stored();
    await member.stop();
    await member.start();
  }
  await traffic.stop();
  await members[0].until("all is stored", () => stored() >= traffic.acknowledged.length);
  for (const member of members) await member.stop();
  const logs = await Promise.all(members.map(async (member) => valuesOf(await member.records())));
  for (const log of logs) assertNoneTwice(log);
  const all = countsOf(logs.flat());
  assert.deepEqual(
    traffic.acknowledged.filter((value) => !all.has(value)),
    [],
  );
  // Each member commits before it joins again.
  assertNoneTwice(logs.flat());
});

test("kafka: a paused member stays in its group, and goes on where it was", {
  skip,
}, async (context) => {
  await broker.createTopic("slow");
  await produce(broker, "slow", numbered(300));
  const options = { ...QUICK, brokers: [broker.plain], topics: ["slow"], group: "slow" };
  const scene = await KafkaScene.make(context, options, {
    receivers: [kafka("orders", { ...options, ingestRateMax: 50 })],
  });
  await scene.start();
  await scene.untilStored(300);
  // 300 records at 50/s: paused for twice the session's timeout.
  await produce(broker, "slow", numbered(10, 300));
  const describe = (): Promise<readonly string[]> =>
    asAdmin(broker, async (admin) => {
      const { groups } = await admin.describeGroups(["slow"]);
      return groups.flatMap(({ state, members }) => [
        state,
        ...members.map(({ memberId }) => memberId),
      ]);
    });
  const paused = await describe();
  assert.equal(paused[0], "Stable");
  assert.equal(scene.storedCount, 300);
  await scene.untilStored(310);
  assert.deepEqual(await describe(), paused);
  await scene.stop();
  assert.deepEqual(
    valuesOf(await scene.records()),
    numbered(310).map(({ value }) => value),
  );
  assert.deepEqual(
    scene.events.filter(({ kind }) => kind === "unit-failed"),
    [],
  );
});

test("kafka: a broker that freezes is a failure of the connection, and read again after it", {
  skip,
}, async (context) => {
  await broker.createTopic("frozen");
  await produce(broker, "frozen", numbered(10));
  const scene = await KafkaScene.make(context, {
    ...QUICK,
    brokers: [broker.plain],
    topics: ["frozen"],
  });
  await scene.start();
  await scene.untilStored(10);
  broker.freeze();
  await scene.until("the receiver fails", () =>
    scene.events.some(({ kind }) => kind === "unit-failed"),
  );
  broker.thaw();
  await produce(broker, "frozen", numbered(10, 10));
  await scene.untilStored(20);
  await scene.stop();
  assert.deepEqual(
    valuesOf(await scene.records()),
    numbered(20).map(({ value }) => value),
  );
});
