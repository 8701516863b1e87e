/**
 * What is asked of kafkajs beyond its documentation: should another version differ, these fail first.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as zlib from "node:zlib";
import kafkajs from "kafkajs";
import { registerCodecs } from "../../../receivers/kafka/codecs.ts";
import { calmRequestQueues } from "../../../receivers/kafka/request-queue.ts";
import { connectionOf } from "../../../receivers/kafka/connection.ts";
import { realClock } from "../../../src/host/clock.ts";
import { freePorts } from "../../support/free-port.ts";
import { recordingLogger } from "../../observe/recording-logger.ts";
import { BrokerSockets } from "../../../receivers/kafka/sockets.ts";

const require = createRequire(import.meta.url);

interface Queue {
  pending: unknown[];
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  scheduleCheckPendingRequests(): void;
  destroy(): void;
}

test("kafka client: what kafkajs says before the cluster has answered is no warning of its own", async () => {
  const [port = 0] = await freePorts(1);
  const { logger, lines } = recordingLogger();
  const { kafka, opened } = connectionOf({
    options: { brokers: [`127.0.0.1:${port}`], clientId: "holdfast" },
    tls: undefined,
    clock: realClock,
    logger,
    maxWaitMs: 10,
    connections: () => undefined,
    heard: () => undefined,
  });
  await assert.rejects(kafka.admin({ retry: { retries: 0 } }).connect(), /ECONNREFUSED/);
  assert.deepEqual([...new Set(lines.map(({ level }) => level))], ["debug"]);
  opened();
  lines.length = 0;
  await assert.rejects(kafka.admin({ retry: { retries: 0 } }).connect(), /ECONNREFUSED/);
  assert.deepEqual([...new Set(lines.map(({ level }) => level))], ["warn"]);
});

test("kafka client: a queue without requests sets no timer, one with requests does", () => {
  const RequestQueue: new (options: object) => Queue = require("kafkajs/src/network/requestQueue");
  const logger = { debug: () => undefined, namespace: () => logger };
  const queue = new RequestQueue({ logger, isConnected: () => true, requestTimeout: 1_000 });
  calmRequestQueues();
  queue.scheduleCheckPendingRequests();
  assert.equal(queue.throttleCheckTimeoutId, null);
  queue.pending.push({});
  queue.scheduleCheckPendingRequests();
  assert.notEqual(queue.throttleCheckTimeoutId, null);
  queue.destroy();
});

test("kafka client: closed sockets allow no more", () => {
  const sockets = new BrokerSockets(undefined, () => undefined);
  sockets.close();
  assert.throws(
    () => sockets.create({ host: "127.0.0.1", port: 1, ssl: {}, onConnect: () => undefined }),
    { code: "CONNECTION_FAILED" },
  );
});

interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

function codecOf(type: kafkajs.CompressionTypes): Codec {
  registerCodecs();
  const codecs: Readonly<Record<number, () => Codec>> = kafkajs.CompressionCodecs;
  const codec = codecs[type]?.();
  assert.ok(codec);
  return codec;
}

test("kafka codecs: kafkajs's own gzip still compresses", async () => {
  const gzip = codecOf(kafkajs.CompressionTypes.GZIP);
  const packed = await gzip.compress({ buffer: Buffer.from("hello") });
  assert.equal((await gzip.decompress(packed)).toString(), "hello");
});

test("kafka codecs: bytes of something else are KAFKA_FAILED", async () => {
  const { GZIP, Snappy, LZ4 } = kafkajs.CompressionTypes;
  for (const type of [GZIP, Snappy, LZ4])
    await assert.rejects(codecOf(type).decompress(Buffer.from("no such thing")), {
      code: "KAFKA_FAILED",
    });
});

test("kafka codecs: a batch that unpacks to more than the limit is KAFKA_FAILED", async () => {
  const bomb = zlib.gzipSync(Buffer.alloc(257 * 1024 * 1024), { level: 1 });
  await assert.rejects(codecOf(kafkajs.CompressionTypes.GZIP).decompress(bomb), {
    code: "KAFKA_FAILED",
    message: /268435456 bytes/,
  });
});

test("kafka codecs: without zstd in Node it is KAFKA_CODEC_MISSING", {
  skip: "zstdDecompress" in zlib ? "this Node reads zstd" : false,
}, async () => {
  await assert.rejects(codecOf(kafkajs.CompressionTypes.ZSTD).decompress(Buffer.alloc(8)), {
    code: "KAFKA_CODEC_MISSING",
  });
});
