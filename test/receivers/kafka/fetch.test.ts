/**
 * Fetch byte by byte as the protocol has it, names of partitions, and brokers that are too old.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "kafkajs";
import { senderFor } from "../../../receivers/kafka/direct-cluster.ts";
import { askFetch, FETCH } from "../../../receivers/kafka/fetch.ts";
import { keyed, parseKey } from "../../../receivers/kafka/partition-key.ts";
import type { RequestSender } from "../../../receivers/kafka/wire.ts";

const ID = "000102030405060708090a0b0c0d0e0f";
const REQUEST = {
  label: "orders-3",
  topicId: ID,
  partition: 3,
  offset: 258,
  bytesMax: 1_024,
  readUncommitted: false,
};

/** An answer for the partition, with one aborted transaction and no batches. */
const ANSWER = [
  "00", // tags of the header
  "00000000 0000 00000000", // a pause in ms, an error, the session
  "02", // one topic
  ID,
  "02", // one partition
  "00000003 0000", // number, error
  "0000000000000200 0000000000000180 0000000000000100", // end, end without open transactions, begin
  "02 0000000000000009 0000000000000110 00", // one aborted transaction: producer, first offset, tags
  "ffffffff", // another replica
  "01", // no batches
  "00 00 00", // tags of the partition, of the topic, of the answer
].join("");

function senderOf(answer: string, sent: string[] = []): RequestSender {
  return {
    async send({ request, response }) {
      const { buffer } = await request.encode();
      sent.push(`${request.apiKey} ${request.apiVersion} ${buffer.toString("hex")}`);
      const payload = Buffer.from(answer.replaceAll(" ", ""), "hex");
      return response.parse(await response.decode(payload));
    },
  };
}

test("kafka fetch: the request is Fetch 13 by the id of the topic", async () => {
  const sent: string[] = [];
  const answer = await askFetch(senderOf(ANSWER, sent), REQUEST);
  assert.deepEqual(sent, [
    `1 13 ${[
      "00", // tags of the header
      "ffffffff 000003e8 00000001 00000400 01", // replica, wait, least, most, isolation
      "00000000 ffffffff", // no session
      `02 ${ID} 02`,
      "00000003 ffffffff 0000000000000102 ffffffff ffffffffffffffff 00000400 00",
      "00", // tags of the topic
      "01 01 00", // nothing to forget, no rack, tags
    ]
      .join("")
      .replaceAll(" ", "")}`,
  ]);
  assert.deepEqual(answer, {
    errorCode: 0,
    begin: 256,
    end: 384,
    batches: [],
    aborted: [{ producerId: 9n, firstOffset: 272 }],
  });
});

test("kafka fetch: with readUncommitted it goes up to the end, and nothing is aborted", async () => {
  const sent: string[] = [];
  const answer = await askFetch(senderOf(ANSWER, sent), { ...REQUEST, readUncommitted: true });
  assert.deepEqual([answer.end, answer.aborted], [512, []]);
  assert.match(sent[0] ?? "", /0000040000/);
});

test("kafka fetch: an answer without the partition, and one that is cut anywhere", async () => {
  const { errorCode, end } = await askFetch(senderOf("00 00000000 0000 00000000 01 00"), REQUEST);
  assert.deepEqual([errorCode, end], [0, -1]);
  const whole = ANSWER.replaceAll(" ", "");
  for (let length = 0; length < whole.length - 6; length += 2)
    await assert.rejects(askFetch(senderOf(whole.slice(0, length)), REQUEST), RangeError);
});

test("kafka direct: a broker that does not go by ids is KAFKA_VERSION_UNSUPPORTED", () => {
  // Decode boundary: what is looked at of a broker.
  const broker = (maxVersion: number): Broker =>
    ({ versions: { 1: { minVersion: 0, maxVersion } }, connectionPool: senderOf("") }) as never;
  assert.throws(() => senderFor("orders: old:9092", broker(12), FETCH), {
    code: "KAFKA_VERSION_UNSUPPORTED",
    message: /orders: old:9092: a broker does not answer Fetch in version 13/,
  });
  assert.ok(senderFor("orders", broker(13), FETCH));
});

test("kafka direct: a partition's name has the id of its topic as Kafka's tools write it", () => {
  const partition = keyed("or-ders.x", 12, ID);
  assert.equal(partition.key, "or-ders.x-12@AAECAwQFBgcICQoLDA0ODw");
  assert.deepEqual(parseKey(partition.key), partition);
  for (const other of ["a", "orders-0", "orders-0@short", "orders@AAECAwQFBgcICQoLDA0ODw", ""])
    assert.equal(parseKey(other), undefined, other);
});
