/**
 * `holdfast/receivers/kafka`: records of Kafka topics, as a member of a consumer group or read directly.
 */
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { checkClientFiles, readClientTls } from "../../src/tls-options.ts";
import { KafkaClient } from "./client.ts";
import { registerCodecs } from "./codecs.ts";
import { classify } from "./failures.ts";
import { checkKafka, type KafkaInput, kafkaOptions } from "./options.ts";
import { calmRequestQueues } from "./request-queue.ts";
import { KafkaSession } from "./session.ts";

export { kafkaDirect } from "./direct.ts";
export type {
  KafkaDirectInput,
  KafkaDirectOptions,
  KafkaInput,
  KafkaOptions,
  KafkaSasl,
} from "./options.ts";

/**
 * Joins a consumer group and stores what its partitions hold; see {@link KafkaInput} for the options.
 *
 * Each topic-partition is a channel (`orders-0`) whose position, the next offset, is stored with each block. Offsets are
 * committed to the group after the fsync. A partition starts at the group's offset, and what this log already holds of it
 * is left out: a crash between fsync and commit repeats nothing in this log. A topic that was deleted and made again fails
 * with KAFKA_TOPIC_RESET, which parks the receiver.
 *
 * While the log has no room nothing is fetched, and the member stays in its group.
 */
export const kafka: ReceiverFactory<KafkaInput> = defineReceiver({
  type: "kafka",
  redelivers: true,
  dials: true,
  // The group has given the member up long before.
  aliveWithinMs: ({ sessionTimeoutMs }) => 3 * sessionTimeoutMs,
  options: kafkaOptions,
  check: checkKafka,
  checkFiles: checkClientFiles,
  async open(context) {
    const { name, options, files, clock, logger, connections, dial } = context;
    registerCodecs();
    calmRequestQueues();
    const tls =
      options.tls === undefined ? undefined : await readClientTls(name, files, options.tls);
    const group = options.group ?? `holdfast-${name}`;
    let session: KafkaSession | undefined;
    const client = new KafkaClient({
      options,
      group,
      tls,
      clock,
      logger,
      connections,
      reset: () => session?.checkAll(),
      beforeJoin: () => session?.beforeJoin() ?? Promise.resolve(),
    });
    const address = options.brokers.join(",");
    try {
      await dial(address, () =>
        client.connect(options.topics).catch((cause: unknown) => {
          throw classify(`${name}: ${address}`, cause);
        }),
      );
    } catch (cause) {
      await client.close(Promise.resolve());
      throw cause;
    }
    session = new KafkaSession(context, client);
    session.begin();
    return session;
  },
});
