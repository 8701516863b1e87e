/**
 * Topics as a source: read by planned ranges of offsets, without a group and without the log in between.
 */
import { defineSource, type SourceFactory } from "../../src/define-source.ts";
import { checkClientFiles, readClientTls } from "../../src/tls-options.ts";
import { registerCodecs } from "./codecs.ts";
import { KafkaCluster } from "./direct-cluster.ts";
import { abortable, KafkaSource } from "./direct-source.ts";
import { checkKafkaDirect, type KafkaDirectInput, kafkaDirectOptions } from "./options.ts";
import { calmRequestQueues } from "./request-queue.ts";

/**
 * A source that pipelines read directly; see {@link KafkaDirectInput} for the options.
 *
 * The checkpoint of the pipeline holds the offsets, and nobody else: a batch is a range of each partition, planned durably
 * before it is read, and a replay reads the same range. So each record goes once from its topic to each sink that can be
 * transactional or can store a position. Needs Kafka 3.1 or later.
 *
 * A topic that was made again is other partitions, which begin at their oldest offset. What passed its retention before it
 * was read, and what was planned of a topic that is no more, is an exact gap: an event `source-gap`.
 */
export const kafkaDirect: SourceFactory<KafkaDirectInput> = defineSource({
  type: "kafka",
  options: kafkaDirectOptions,
  check: checkKafkaDirect,
  checkFiles: checkClientFiles,
  async open(context) {
    const { name, options, files, clock, logger, signal, dial } = context;
    registerCodecs();
    calmRequestQueues();
    const tls =
      options.tls === undefined ? undefined : await readClientTls(name, files, options.tls);
    const address = options.brokers.join(",");
    const cluster = new KafkaCluster({
      options,
      label: `${name}: ${address}`,
      tls,
      clock,
      logger,
      signal,
    });
    const opening = async (): Promise<KafkaSource> => {
      await dial(address, () => cluster.connect());
      return await KafkaSource.open(context, cluster);
    };
    try {
      return await abortable(opening(), signal);
    } catch (cause) {
      await cluster.close();
      throw cause;
    }
  },
});
