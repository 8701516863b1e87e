import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";

import { ChannelTable, CHANNELS_PER_RECEIVER_MAX } from "../../src/wal/channels.ts";

const position = (text: string): Uint8Array => Buffer.from(text);

test("channels: ids stay, also over a restart, and are never given to another channel", () => {
  const table = new ChannelTable();
  const first = table.channelFor("meters", 1, "a");
  equal(table.channelFor("meters", 1, "a"), first);
  const second = table.channelFor("gates", 1, "a");
  ok(second.id !== first.id);
  table.movePosition(first.id, position("p"));
  const { names, positions } = table.tables();
  const restored = new ChannelTable();
  restored.restore(names, positions);
  restored.reserveIds(40);
  equal(restored.channelFor("meters", 1, "a").id, first.id);
  deepEqual(Buffer.from(restored.position("meters", "a") ?? []).toString(), "p");
  equal(restored.channelFor("meters", 1, "new").id, 41);
});

test("channels: of two ids for one name the newer counts", () => {
  const table = new ChannelTable();
  const rows = [3, 9, 5].map((channelId) => ({ channelId, receiver: "meters", channel: "a" }));
  table.restore(rows, [
    { channelId: 3, position: position("old") },
    { channelId: 9, position: position("new") },
  ]);
  deepEqual(Buffer.from(table.position("meters", "a") ?? []).toString(), "new");
  equal(table.channelFor("meters", 1, "a").id, 9);
});

test("channels: older epochs of a receiver are refused, others are not concerned", () => {
  const table = new ChannelTable();
  table.channelFor("meters", 2, "a");
  throws(() => table.channelFor("meters", 1, "a"), { code: "STORE_FENCED" });
  table.fence("meters", 5);
  throws(() => table.channelFor("meters", 4, "a"), { code: "STORE_FENCED" });
  table.fence("meters", 3);
  throws(() => table.channelFor("meters", 4, "a"), { code: "STORE_FENCED" });
  ok(table.channelFor("gates", 1, "a"));
});

test("channels: beyond the limit the least recently used go, never those an unwritten entry uses", () => {
  const table = new ChannelTable();
  const count = CHANNELS_PER_RECEIVER_MAX + 10;
  for (let index = 0; index < count; index += 1)
    table.channelFor("meters", 1, `session-${index}`).usedIn = index + 1;
  const oldest = table.channelFor("meters", 1, "session-0");
  oldest.usedIn = 1_000_000;
  table.trim(1_000_000, Infinity);
  equal(table.tables().names.length, CHANNELS_PER_RECEIVER_MAX);
  equal(table.forgottenCount, 10);
  equal(table.channelFor("meters", 1, "session-0"), oldest);
  const names = new Set(table.tables().names.map((row) => row.channel));
  ok(!names.has("session-1") && names.has("session-11"));
  table.trim(1_000_000, 5_000);
  ok(table.tables().names.length < 200);
  ok(table.byId(oldest.id));
});
