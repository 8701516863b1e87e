/**
 * Where a partition starts, and how the log keeps it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodePosition, encodePosition } from "../../../receivers/kafka/position.ts";
import { type PartitionFacts, startAnew, startOf } from "../../../receivers/kafka/start.ts";

const OLD = "0123456789abcdef0123456789abcdef";
const NEW = "ffffffffffffffffffffffffffffffff";

const facts = (more: Partial<PartitionFacts> = {}): PartitionFacts => ({
  topicId: OLD,
  groupOffset: undefined,
  low: 10,
  high: 100,
  ...more,
});
const held = (
  next: number,
  topicId: string | undefined = OLD,
): { next: number; topicId: string | undefined } => ({
  next,
  topicId,
});

test("kafka start: the later of the group's and the log's position", () => {
  const start = (offset: number, expiredCount = 0): object => ({
    kind: "start",
    offset,
    expiredCount,
  });
  assert.deepEqual(startOf(facts(), undefined, "earliest"), start(10));
  assert.deepEqual(startOf(facts(), undefined, "latest"), start(100));
  assert.deepEqual(startOf(facts({ groupOffset: 40 }), undefined, "latest"), start(40));
  assert.deepEqual(
    startOf(facts({ groupOffset: 40 }), held(60), "earliest"),
    start(60),
    "crash before the commit",
  );
  assert.deepEqual(
    startOf(facts({ groupOffset: 80 }), held(60), "earliest"),
    start(80),
    "another member's",
  );
  assert.deepEqual(startOf(facts(), held(60), "latest"), start(60), "the group has forgotten");
  assert.deepEqual(
    startOf(facts({ groupOffset: 0 }), held(60), "earliest"),
    start(60),
    "the group was set back",
  );
  assert.deepEqual(startOf(facts(), held(100), "earliest"), start(100), "nothing new");
});

test("kafka start: what passed its retention unread is counted", () => {
  assert.deepEqual(startOf(facts(), held(4), "earliest"), {
    kind: "start",
    offset: 10,
    expiredCount: 6,
  });
  assert.deepEqual(startOf(facts({ groupOffset: 7 }), undefined, "latest"), {
    kind: "start",
    offset: 10,
    expiredCount: 3,
  });
});

test("kafka start: a group that is ahead of a partition this log never read starts at its beginning", () => {
  assert.deepEqual(startOf(facts({ groupOffset: 101 }), undefined, "latest"), {
    kind: "start",
    offset: 10,
    expiredCount: 0,
  });
});

test("kafka start: another id of the topic, or an end before what the log holds, is a reset", () => {
  assert.deepEqual(startOf(facts({ topicId: NEW }), held(60), "earliest"), {
    kind: "recreated",
    held: held(60),
    topicId: NEW,
  });
  assert.deepEqual(
    startOf(facts({ topicId: NEW, groupOffset: 5 }), held(0), "earliest").kind,
    "recreated",
  );
  assert.deepEqual(startOf(facts(), held(101), "earliest"), {
    kind: "truncated",
    held: held(101),
    high: 100,
  });
  assert.deepEqual(startOf(facts({ topicId: undefined }), held(101), "earliest").kind, "truncated");
});

test("kafka start: without ids a topic that has outgrown its predecessor is not noticed", () => {
  assert.equal(startOf(facts({ topicId: undefined }), held(60), "earliest").kind, "start");
  assert.equal(startOf(facts(), held(60, undefined), "earliest").kind, "start");
});

test("kafka position: what is written is read", () =>
  fc.assert(
    fc.property(
      fc.nat(Number.MAX_SAFE_INTEGER),
      fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
      (next, id) => {
        const hex = id === undefined ? undefined : Buffer.from(id).toString("hex");
        const topicId = hex === "0".repeat(32) ? undefined : hex;
        assert.deepEqual(decodePosition("orders-0", encodePosition({ next, topicId })), {
          next,
          topicId,
        });
      },
    ),
  ));

test("kafka position: bytes of something else are LOG_VERSION", () => {
  const bytes = encodePosition({ next: 7, topicId: OLD });
  for (const wrong of [bytes.subarray(1), Uint8Array.from(bytes).fill(2, 0, 1), new Uint8Array(0)])
    assert.throws(() => decodePosition("orders-0", wrong), { code: "LOG_VERSION" });
});

test("kafka start: a topic that is taken anew starts at its beginning, whatever the group has", () => {
  assert.deepEqual(startAnew(facts({ topicId: NEW, groupOffset: 60 })), {
    kind: "start",
    offset: 10,
    expiredCount: 0,
  });
});
