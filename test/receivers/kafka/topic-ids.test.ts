/**
 * The request for topic ids, byte by byte as the protocol has it, and answers that are not what they should be.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { askTopicIds, METADATA } from "../../../receivers/kafka/topic-ids.ts";
import { answers, type RequestSender } from "../../../receivers/kafka/wire.ts";

const ID = "000102030405060708090a0b0c0d0e0f";

/** An answer for one topic with one partition, as Kafka 4.4.0 gives it. */
function answer(topic: string, id: string): Buffer {
  return Buffer.concat([
    Buffer.of(0), // tags of the header
    Buffer.alloc(4), // a pause in ms
    Buffer.of(2), // one broker: number, host, port, rack, tags
    Buffer.from("00000001", "hex"),
    Buffer.concat([Buffer.of(10), Buffer.from("127.0.0.1")]),
    Buffer.from("00002384", "hex"),
    Buffer.of(0, 0),
    Buffer.concat([Buffer.of(5), Buffer.from("clus")]),
    Buffer.from("00000001", "hex"), // controller
    Buffer.of(2), // one topic: error, name, id, whether it is internal
    Buffer.alloc(2),
    Buffer.concat([Buffer.of(topic.length + 1), Buffer.from(topic)]),
    Buffer.from(id, "hex"),
    Buffer.of(0),
    Buffer.of(2), // one partition: error, number, leader, epoch, replicas, in sync, away, tags
    Buffer.alloc(2 + 4 + 4 + 4),
    Buffer.from("0200000001", "hex"),
    Buffer.from("0200000001", "hex"),
    Buffer.of(1),
    Buffer.of(0),
    Buffer.from("80000000", "hex"), // who may do what
    Buffer.of(0, 0), // tags of the topic and of the answer
  ]);
}

class Sender implements RequestSender {
  sent = "";
  readonly #answer: Buffer;

  constructor(answered: Buffer) {
    this.#answer = answered;
  }

  async send({ request, response }: Parameters<RequestSender["send"]>[0]): Promise<unknown> {
    const encoded = await request.encode();
    assert.equal(encoded.size(), encoded.buffer.length);
    this.sent = `${request.apiKey} ${request.apiVersion} ${encoded.buffer.toString("hex")}`;
    return response.parse(await response.decode(this.#answer));
  }
}

test("kafka topic ids: the request is Metadata 12 by names", async () => {
  const sender = new Sender(answer("ab", ID));
  await askTopicIds(sender, ["ab"]);
  assert.equal(
    sender.sent,
    `3 12 ${["00", "02", "0".repeat(32), "036162", "00", "00", "00", "00"].join("")}`,
  );
});

test("kafka topic ids: the id is that of the topic, and none where it is zeros", async () => {
  assert.deepEqual(
    await askTopicIds(new Sender(answer("orders", ID)), ["orders"]),
    new Map([["orders", ID]]),
  );
  assert.deepEqual(
    await askTopicIds(new Sender(answer("orders", "0".repeat(32))), ["orders"]),
    new Map([["orders", undefined]]),
  );
});

test("kafka topic ids: an answer that is cut or changed rejects or is read, and never hangs", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(200), fc.nat(200), fc.nat(255), async (length, at, byte) => {
      const bytes = Buffer.from(answer("orders", ID).subarray(0, length));
      if (at < bytes.length) bytes[at] = byte;
      await askTopicIds(new Sender(bytes), ["orders"]).catch((cause: unknown) =>
        assert.ok(cause instanceof RangeError, String(cause)),
      );
    }),
  ));

test("kafka topic ids: brokers that are too old are not asked", () => {
  assert.ok(answers({ 3: { minVersion: 0, maxVersion: 13 } }, METADATA));
  for (const versions of [
    { 3: { minVersion: 0, maxVersion: 9 } },
    { 3: { minVersion: 13, maxVersion: 14 } },
    {},
    undefined,
    "no",
  ])
    assert.ok(!answers(versions, METADATA), JSON.stringify(versions));
});
