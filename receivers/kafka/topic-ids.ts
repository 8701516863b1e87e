/**
 * Ids of topics: the only thing that tells a topic from another of the same name that was made after it. kafkajs asks for
 * metadata in a version without them, so this is a request of our own, sent over its connection:
 *
 *     Metadata v12:  topics, each an id of zeros and a name; whether to create them; whether to tell who may do what
 */
import { topicIdOf } from "./position.ts";
import {
  type Api,
  ask,
  lengthOf,
  NO_TAGS,
  type RequestSender,
  unsigned,
  type WireReader,
} from "./wire.ts";

type TopicIds = ReadonlyMap<string, string | undefined>;

/** The version that first has ids and takes names. */
export const METADATA: Api = { apiKey: 3, apiVersion: 12, apiName: "Metadata" };

/** The id of each topic; one that is not there has none. */
export async function askTopicIds(
  sender: RequestSender,
  topics: readonly string[],
): Promise<TopicIds> {
  return await ask(sender, METADATA, encodeRequest(topics), decodeResponse);
}

const NO_ID = Buffer.alloc(16);

function encodeRequest(topics: readonly string[]): Buffer {
  const parts = topics.flatMap((topic) => [
    NO_ID,
    unsigned(Buffer.byteLength(topic) + 1),
    Buffer.from(topic),
    NO_TAGS,
  ]);
  const isFalse = Buffer.of(0);
  return Buffer.concat([NO_TAGS, lengthOf(topics.length), ...parts, isFalse, isFalse, NO_TAGS]);
}

/** What comes behind the header: a pause in ms, brokers, the cluster, its controller, topics. */
function decodeResponse(reader: WireReader): TopicIds {
  reader.skip(4);
  reader.each(() => {
    reader.skip(4);
    reader.text();
    reader.skip(4);
    reader.text();
    reader.tags();
  });
  reader.text();
  reader.skip(4);
  const ids = new Map<string, string | undefined>();
  reader.each(() => {
    reader.skip(2);
    const name = reader.text();
    const id = reader.bytes(16);
    ids.set(name, topicIdOf(id));
    reader.skip(1);
    reader.each(() => readPartition(reader));
    reader.skip(4);
    reader.tags();
  });
  return ids;
}

/** Error, number, leader, leader's epoch; replicas, those in sync, those that are away. */
function readPartition(reader: WireReader): void {
  reader.skip(2 + 4 + 4 + 4);
  for (let list = 0; list < 3; list++) reader.each(() => reader.skip(4));
  reader.tags();
}
