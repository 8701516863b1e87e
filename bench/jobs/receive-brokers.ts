/**
 * Receivers that read from a broker, at full speed into the durable log; the broker and its publishers share the machine.
 */
import { Mosquitto, mosquittoSkip } from "../../test/services/mosquitto.ts";
import { kafkaBroker, type KafkaBroker, kafkaSkip } from "../../test/services/kafka.ts";
import { eventually } from "../../test/support/deadline.ts";
import { receiveOnly } from "../configurations.ts";
import { type Measurement, type RunContext, scaled, type Variant } from "../job.ts";
import { runClients, speed } from "../load.ts";
import { type BenchProgram, BenchSite } from "../program.ts";
import { ToolMissing } from "../tools.ts";

const bytesPerMib = 1024 * 1024;
const poll = { everyMs: 20, deadlineMs: 300_000 };
const mqttCount = 300_000;
const mqttClients = 100;
const mqttUnderWay = 20;
const kafkaCount = 2_000_000;
const kafkaPartitions = 4;
const kafkaValueBytes = 100;
const kafkaSendRecords = 5_000;
const topic = "readings";

/** From now to all of the records being stored: CPU and memory of the receiving process alone, without its start. */
async function stored(program: BenchProgram, count: number): Promise<readonly Measurement[]> {
  const before = program.usage();
  const startMs = performance.now();
  const first = await program.storedRecords();
  let records = first;
  await eventually(
    `${count} records`,
    async () => (records = await program.storedRecords()) >= count,
    poll,
  );
  const seconds = (performance.now() - startMs) / 1000;
  const after = program.usage();
  if (records !== count) throw new Error(`${count} records sent, ${records} stored`);
  return [
    ...speed(count - first, seconds, after.cpuSeconds - before.cpuSeconds),
    { metric: "peak RSS", value: after.peakBytes / bytesPerMib, unit: "MiB" },
  ];
}

async function fromMosquitto(context: RunContext): Promise<readonly Measurement[]> {
  const why = mosquittoSkip();
  if (why !== false) throw new ToolMissing(why);
  const count = scaled(context, mqttCount);
  // It would drop what a subscriber has not taken yet.
  const lines = ["max_queued_messages 0"];
  await using broker = await Mosquitto.start({ inflightMax: 0, lines });
  const configuration = receiveOnly(() => ({
    type: "mqtt",
    url: `mqtt://127.0.0.1:${broker.port}`,
    topics: ["bench/#"],
  }));
  const load = { protocol: "mqtt", connections: mqttClients, window: mqttUnderWay, count } as const;
  return await BenchSite.with(configuration, (site) =>
    site.run(async (program) => {
      const [measured] = await Promise.all([
        stored(program, count),
        runClients({ ...load, port: broker.port }),
      ]);
      return measured;
    }),
  );
}

async function fromKafka(context: RunContext): Promise<readonly Measurement[]> {
  const why = kafkaSkip();
  if (why !== false) throw new ToolMissing(why);
  const count = scaled(context, kafkaCount);
  const broker = await kafkaBroker();
  try {
    await broker.createTopic(topic, { partitions: kafkaPartitions });
    await fill(broker, count);
    const configuration = receiveOnly(() => ({
      type: "kafka",
      brokers: [broker.plain],
      topics: [topic],
      from: "earliest",
    }));
    return await BenchSite.with(configuration, (site) =>
      site.run(async (program) => {
        // They say that it has joined the group: the join is no part of the rate.
        await eventually("first records", async () => (await program.storedRecords()) > 0, poll);
        return await stored(program, count);
      }),
    );
  } finally {
    await broker.remove();
  }
}

/** So many records into the topic, in turn to its partitions. */
async function fill({ client }: KafkaBroker, count: number): Promise<void> {
  const producer = client.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  try {
    const value = "x".repeat(kafkaValueBytes);
    for (let sent = 0; sent < count; sent += kafkaSendRecords) {
      const length = Math.min(kafkaSendRecords, count - sent);
      const messages = Array.from({ length }, (_, index) => ({
        value,
        partition: (sent / kafkaSendRecords + index) % kafkaPartitions,
      }));
      await producer.send({ topic, messages });
    }
  } finally {
    await producer.disconnect();
  }
}

/** Brokers and their topics live for one round. */
export const brokerVariants: readonly Variant[] = [
  { name: "receive/mqtt, QoS 1, 100 publishers at mosquitto", run: fromMosquitto },
  { name: "receive/kafka, 4 partitions", run: fromKafka },
];
