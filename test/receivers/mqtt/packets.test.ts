import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { generate, type IPublishPacket, parser } from "mqtt-packet";
import { headersText } from "../../../receivers/mqtt/headers.ts";
import { type Packet, PacketSplitter } from "../../../receivers/mqtt/packet-splitter.ts";
import { PublishReader } from "../../../receivers/mqtt/publish-reader.ts";
import { UnreleasedIds } from "../../../receivers/mqtt/unreleased-ids.ts";
import { codeOf } from "../../../src/errors.ts";
import { manyRuns } from "../../support/runs.ts";

const LIMIT = 300_000;

/** What a splitter and a reader make of chunks, as text. */
function readAll(protocolVersion: 4 | 5, chunks: readonly Buffer[]): readonly string[] {
  const reader = new PublishReader(protocolVersion);
  const seen: string[] = [];
  const splitter = new PacketSplitter(
    {
      published(packet: Packet) {
        reader.read(packet);
        const { bytes, topicStart, topicEnd, payloadStart, payloadEnd, qos, packetId, isRetained } =
          reader;
        const topic = bytes.toString("utf8", topicStart, topicEnd);
        const payload = bytes.toString("hex", payloadStart, payloadEnd);
        const headers = headersText(reader.properties(), isRetained);
        seen.push(`publish ${topic} ${payload} ${qos} ${packetId} ${headers}`);
      },
      oversized: (_packet, packetBytes) => void seen.push(`oversized ${packetBytes}`),
      released: ({ bytes, start }) => void seen.push(`pubrel ${bytes.readUInt16BE(start)}`),
      controlled: (packet, type) => void seen.push(`type ${type} ${packet.toString("hex")}`),
    },
    LIMIT,
  );
  for (const chunk of chunks) splitter.push(chunk);
  return seen;
}

const text = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((each) => !each.includes("\0"));
const properties = fc.record(
  {
    contentType: text,
    responseTopic: text,
    correlationData: fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
    messageExpiryInterval: fc.nat(1_000),
    userProperties: fc.dictionary(
      text,
      fc.oneof(text, fc.array(text, { minLength: 2, maxLength: 3 })),
      { maxKeys: 4 },
    ),
  },
  { requiredKeys: [] },
);
const message = fc.record({
  topic: text,
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  id: fc.integer({ min: 1, max: 65_535 }),
  retain: fc.boolean(),
  properties: fc.option(properties, { nil: undefined }),
});

function packetOf({
  topic,
  payload,
  qos,
  id,
  retain,
  properties: given,
}: typeof message extends fc.Arbitrary<infer T> ? T : never): IPublishPacket {
  const more = given === undefined ? {} : { properties: given };
  const ids = qos === 0 ? {} : { messageId: id };
  return { cmd: "publish", topic, payload, qos, retain, dup: false, ...ids, ...more };
}

/** As the client library's own parser reads it. */
function byTheLibrary(protocolVersion: 4 | 5, bytes: Buffer): readonly string[] {
  const seen: string[] = [];
  const library = parser({ protocolVersion });
  library.on("packet", (packet) => {
    if (packet.cmd === "pubrel") seen.push(`pubrel ${packet.messageId}`);
    if (packet.cmd !== "publish") return;
    const { topic, payload, qos, messageId = 0, retain } = packet;
    const headers = headersText(packet.properties, retain);
    seen.push(
      `publish ${topic} ${Buffer.from(payload).toString("hex")} ${qos} ${messageId} ${headers}`,
    );
  });
  library.parse(bytes);
  return seen;
}

for (const protocolVersion of [4, 5] as const)
  test(`mqtt ${protocolVersion}: packets are read as the library reads them, however they are cut`, () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (messages, cuts) => {
          const bytes = Buffer.concat(
            messages.flatMap((each) => [
              generate(packetOf(each), { protocolVersion }),
              generate({ cmd: "pubrel", messageId: each.id }, { protocolVersion }),
            ]),
          );
          const chunks: Buffer[] = [];
          let at = 0;
          for (const cut of cuts) {
            chunks.push(bytes.subarray(at, at + cut));
            at += cut;
          }
          chunks.push(bytes.subarray(at));
          assert.deepEqual(readAll(protocolVersion, chunks), byTheLibrary(protocolVersion, bytes));
        },
      ),
      manyRuns,
    );
  });

test("mqtt: any bytes are packets or MQTT_PROTOCOL_ERROR, and memory stays within the limit", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }),
      fc.boolean(),
      (chunks, isPublish) => {
        const first = isPublish ? [Buffer.from([0x32, 40])] : [];
        try {
          readAll(5, [...first, ...chunks.map((chunk) => Buffer.from(chunk))]);
        } catch (cause) {
          assert.equal(codeOf(cause), "MQTT_PROTOCOL_ERROR", String(cause));
        }
      },
    ),
    manyRuns,
  );
});

test("mqtt: a packet of 256 MB is not kept", () => {
  const chunk = Buffer.alloc(1024 * 1024, 0x61);
  const head = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x62]);
  const before = process.memoryUsage().arrayBuffers;
  const chunks = [head, ...Array.from({ length: 256 }, () => chunk)];
  assert.deepEqual(readAll(4, chunks.slice(0, 200)), []);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024);
});

test("mqtt headers: user properties, repeated ones, and what MQTT itself says", () => {
  assert.equal(headersText(undefined, false), "");
  assert.equal(headersText(undefined, true), '{"mqtt.retained":"true"}');
  const userProperties = {
    unit: "C",
    tag: ["a", "b"],
    "mqtt.content-type": "forged",
    __proto__: "x",
  };
  const text = headersText(
    {
      userProperties,
      contentType: "json",
      responseTopic: "r",
      correlationData: Buffer.from([1, 2]),
    },
    false,
  );
  assert.deepEqual(JSON.parse(text), {
    unit: "C",
    tag: "a\nb",
    "mqtt.content-type": "json",
    "mqtt.response-topic": "r",
    "mqtt.correlation-data": "AQI=",
  });
});

test("mqtt unreleased ids: a position says what the set says", () => {
  const change = fc.record({
    id: fc.integer({ min: 1, max: 65_535 }),
    digest: fc.option(fc.integer({ min: 1, max: 65_535 })),
  });
  fc.assert(
    fc.property(fc.array(change), (changes) => {
      const ids = new UnreleasedIds();
      const model = new Map<number, number>();
      for (const { id, digest } of changes)
        if (digest === null) assert.equal(ids.delete(id), model.delete(id));
        else {
          ids.add(id, digest);
          model.set(id, digest);
        }
      const read = UnreleasedIds.decode(ids.encode());
      assert.equal(read.size, model.size);
      for (const [id, digest] of model) {
        assert.ok(read.holds(id, digest));
        assert.ok(!read.holds(id, (digest % 65_535) + 1), "another message under this id");
      }
    }),
    manyRuns,
  );
});

test("mqtt unreleased ids: any number of ids fits into a position, and 1,024 runs do not", () => {
  const all = new UnreleasedIds();
  for (let id = 1; id <= 2_044; id++) all.add(id, id);
  assert.equal(all.encode().length, 4_096);
  assert.ok(!UnreleasedIds.decode(all.encode()).holds(7, 8));
  for (let id = 1; id <= 65_535; id++) all.add(id, id);
  assert.equal(all.encode().length, 8);
  const read = UnreleasedIds.decode(all.encode());
  assert.equal(read.size, 65_535);
  assert.ok(read.holds(7, 8), "without digests the id alone decides");
  const scattered = new UnreleasedIds();
  for (let id = 1; id <= 2 * 1_023; id += 2) scattered.add(id, 1);
  assert.equal(scattered.encode().length, 4_096);
  scattered.add(60_000, 1);
  assert.throws(() => scattered.encode(), { code: "MQTT_PROTOCOL_ERROR" });
  assert.equal(UnreleasedIds.decode(undefined).size, 0);
  assert.throws(() => UnreleasedIds.decode(Buffer.from([9, 0, 0, 1, 0, 1, 0, 2])), {
    code: "LOG_VERSION",
  });
});
