/**
 * What of a message is in the log: topic, payload, and who sent it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mqttListener } from "../../../receivers/mqtt-listener/index.ts";
import {
  blockOf,
  type Message,
  MessageBlock,
} from "../../../receivers/mqtt-listener/message-block.ts";
import { realClock } from "../../../src/host/clock.ts";
import type { RecordBlock } from "../../../src/contract/record.ts";
import { valueOf } from "../../../src/contract/record.ts";
import { ReceiverTrial } from "../../../src/testing/index.ts";
import { openLogReader } from "../../../src/wal/directory-reader.ts";
import { connected } from "../../support/mqtt-listener-scene.ts";

interface Shown {
  readonly key: string;
  readonly value: string;
  readonly headers: string;
}

function shown(block: RecordBlock): readonly Shown[] {
  const text = (column: RecordBlock["keys"], i: number): string =>
    Buffer.from(column?.bytes.subarray(column.ends[i - 1] ?? 0, column.ends[i]) ?? []).toString();
  return Array.from({ length: block.count }, (_, i) => ({
    key: text(block.keys, i),
    value: Buffer.from(valueOf(block, i)).toString(),
    headers: text(block.headers, i),
  }));
}

const message = (topic: string, payload: string): Message => ({
  topic,
  payload: Buffer.from(payload),
  headers: Buffer.from("{}"),
});

test("message block: messages of any size, one after the other, and then anew", () => {
  const block = new MessageBlock();
  for (const [topic, payload] of [
    ["a", "1"],
    ["grün/€", ""],
    ["c", "3"],
  ] as const)
    block.add(message(topic, payload));
  assert.deepEqual(
    shown(block.take()).map(({ key, value }) => `${key}=${value}`),
    ["a=1", "grün/€=", "c=3"],
  );
  block.add(message("d", "4"));
  assert.deepEqual(shown(block.take()), [{ key: "d", value: "4", headers: "{}" }]);
  assert.equal(block.count, 0);
});

test("message block: what does not fit is a block of its own", () => {
  const block = new MessageBlock();
  const long = message("t", "x".repeat(256 * 1024));
  assert.equal(block.hasRoomFor(long), true);
  block.add(message("a", "1"));
  assert.equal(block.hasRoomFor(long), false);
  const longer = message("t", "x".repeat(256 * 1024 + 1));
  assert.equal(new MessageBlock().hasRoomFor(longer), false);
  const [only] = shown(blockOf(longer));
  assert.deepEqual([only?.key, only?.value.length, only?.headers], ["t", 262_145, "{}"]);
});

test("mqtt-listener: a record has the topic as its key, and headers that say who sent it", async () => {
  await using trial = new ReceiverTrial((options) =>
    mqttListener("devices", { port: 0, anonymous: true, ...options }),
  );
  await trial.start();
  const client = await connected(`mqtt://127.0.0.1:${trial.address.port}`, { clientId: 'a "b"' });
  await client.publishAsync("devices/7/temperature", "21.5", { qos: 1 });
  await client.publishAsync("state", "on", { qos: 2, retain: true });
  client.end(true);
  await trial.stop();
  const reader = await openLogReader({
    files: trial.disk,
    clock: realClock,
    directory: "/data/log",
  });
  const found: Shown[] = [];
  for await (const item of reader.read(0, new AbortController().signal))
    if (item.kind === "records") found.push(...shown(item.block));
  await reader.close();
  assert.deepEqual(found, [
    { key: "devices/7/temperature", value: "21.5", headers: '{"client":"a \\"b\\""}' },
    { key: "state", value: "on", headers: '{"client":"a \\"b\\"","retain":"true"}' },
  ]);
});
