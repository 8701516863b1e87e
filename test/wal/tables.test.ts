import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import {
  decodeKeys,
  decodeNames,
  decodePositions,
  decodeSeal,
  encodeKeys,
  encodeNames,
  encodePositions,
  encodeSeal,
  TABLE_BODY_BYTES,
} from "../../src/wal/tables.ts";

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u64 = fc.maxSafeNat();
const text = fc.string({ maxLength: 12 });

test("tables: rows come back, in as many entries as they need", () => {
  const names = fc.array(
    fc.record({ channelId: u32, receiver: text, channel: text }, { noNullPrototype: true }),
    { maxLength: 50 },
  );
  const positions = fc.array(
    fc.record(
      { channelId: u32, position: fc.uint8Array({ maxLength: 40 }) },
      { noNullPrototype: true },
    ),
    { maxLength: 50 },
  );
  const hash = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const keys = fc.array(
    fc.record(
      { keyHash: hash, bodyHash: hash, firstOffset: u64, recordCount: u32, wallMs: u64 },
      { noNullPrototype: true },
    ),
    { maxLength: 50 },
  );
  fc.assert(
    fc.property(names, positions, keys, (nameRows, positionRows, keyRows) => {
      deepEqual(
        encodeNames(nameRows).flatMap((body) => decodeNames(body)?.rows),
        nameRows,
      );
      deepEqual(
        encodePositions(positionRows).flatMap((body) => decodePositions(body)?.rows),
        positionRows,
      );
      deepEqual(
        encodeKeys(keyRows).flatMap((body) => decodeKeys(body)?.rows),
        keyRows,
      );
    }),
  );
  const large = Array.from({ length: 200 }, (_, channelId) => ({
    channelId,
    position: new Uint8Array(4000),
  }));
  const bodies = encodePositions(large);
  ok(bodies.length > 2 && bodies.every((body) => body.length <= TABLE_BODY_BYTES + 8));
  deepEqual(
    bodies.map((body) => decodePositions(body)?.more),
    [...bodies.slice(1).map(() => true), false],
  );
  equal(bodies.flatMap((body) => decodePositions(body)?.rows ?? []).length, 200);
  equal(encodeNames([]).length, 1);
});

test("tables: mutated bodies are refused or read, never thrown at", () => {
  const rows = Array.from({ length: 5 }, (_, channelId) => ({
    channelId,
    receiver: "meters",
    channel: `orders-${channelId}`,
  }));
  const seal = {
    baseOffset: 1,
    endOffset: 2,
    endPosition: 3,
    entryCount: 4,
    firstTimeMs: 5,
    lastTimeMs: 6,
  };
  deepEqual(decodeSeal(encodeSeal(seal)), seal);
  equal(decodeSeal(new Uint8Array(10)), undefined);
  fc.assert(
    fc.property(fc.nat(), fc.nat(255), fc.nat(200), (at, value, length) => {
      for (const [bytes, decode] of [
        [encodeNames(rows)[0], decodeNames],
        [
          encodePositions(
            rows.map(({ channelId, channel }) => ({ channelId, position: Buffer.from(channel) })),
          )[0],
          decodePositions,
        ],
        [
          encodeKeys([
            {
              keyHash: new Uint8Array(16),
              bodyHash: new Uint8Array(16),
              firstOffset: 1,
              recordCount: 1,
              wallMs: 1,
            },
          ])[0],
          decodeKeys,
        ],
        [encodeSeal(seal), decodeSeal],
      ] as const) {
        const body = (bytes ?? new Uint8Array(1)).slice(0, Math.max(1, length));
        body[at % body.length] = value;
        const decoded = decode(body);
        ok(decoded === undefined || typeof decoded === "object");
      }
    }),
  );
});
