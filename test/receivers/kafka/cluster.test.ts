/**
 * Three real brokers that are killed one after the other: leaders and coordinators move, and come back.
 */
import { after, before, test } from "node:test";
import { type KafkaBroker, kafkaCluster, kafkaSkip } from "../../services/kafka.ts";
import { DirectScene } from "./direct-scene.ts";
import { KafkaScene } from "./scene.ts";
import { recordCountOf, valuesOf } from "./topics.ts";
import { Traffic } from "./traffic.ts";

const skip = kafkaSkip();

let nodes: readonly KafkaBroker[] = [];
before(async () => {
  if (skip === false) nodes = await kafkaCluster();
});
after(async () => {
  for (const node of nodes) await node.remove();
});

test("kafka: kill -9 of each of three brokers in turn: leaders move, members and direct readers have every record once", {
  skip,
}, async (context) => {
  const [node] = nodes;
  if (node === undefined) throw new TypeError("there are nodes");
  await node.createTopic("moving", { partitions: 6 });
  const brokers = nodes.map(({ plain }) => plain);
  const member = await KafkaScene.make(context, {
    brokers,
    topics: ["moving"],
    sessionTimeoutMs: 3_000,
    heartbeatMs: 300,
    maxWaitMs: 50,
  });
  const direct = await DirectScene.make(context, { brokers, topics: ["moving"] });
  await Promise.all([member.start(), direct.start()]);
  const traffic = new Traffic(brokers, "moving", 6);
  context.after(() => traffic.stop());
  traffic.start();
  /** Each has read more than was acknowledged when it is called, so partitions with any leader. */
  const untilMoreIsRead = async (): Promise<void> => {
    const target = traffic.acknowledged.length + 60;
    await member.untilStored(target);
    await direct.untilRows(target);
  };
  for (const each of nodes) {
    await untilMoreIsRead();
    await each.kill();
    await untilMoreIsRead();
    await each.start();
  }
  await untilMoreIsRead();
  await traffic.stop();
  const total = await recordCountOf(node, "moving");
  await member.untilStored(total);
  await direct.untilRows(total);
  await Promise.all([member.stop(), direct.stop()]);
  traffic.assertStoredOnce(valuesOf(await member.records()));
  traffic.assertStoredOnce(direct.sink.rows.map(String));
});
