import { deepEqual, equal, ok } from "node:assert/strict";
import { PassThrough } from "node:stream";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import type { HoldfastError } from "../../src/errors.ts";
import { UnfinishedBytes, type UnfinishedHolder } from "../../src/record/unfinished-bytes.ts";
import { countUnfinished } from "../../src/record/unfinished-frames.ts";

const LIMIT = 100;

/** Holders that write down who was evicted, with what. */
class Holders {
  readonly unfinished: UnfinishedBytes = new UnfinishedBytes(LIMIT);
  readonly kept: number[];
  readonly evicted: { readonly index: number; readonly cause: HoldfastError }[] = [];
  readonly #holders: readonly UnfinishedHolder[];

  constructor(count: number) {
    this.kept = Array.from({ length: count }, () => 0);
    this.#holders = this.kept.map((_, index) => ({
      evict: (cause) => {
        ok(this.kept.every((byteCount) => byteCount <= (this.kept[index] ?? 0)));
        this.evicted.push({ index, cause });
        // As connections do, which end then.
        this.set(index, 0);
      },
    }));
  }

  set(index: number, byteCount: number): void {
    this.kept[index] = byteCount;
    const holder = this.#holders[index];
    if (holder !== undefined) this.unfinished.set(holder, byteCount);
  }
}

test("unfinished bytes: whatever holders keep, together it is within the limit, and who keeps most has to go", () => {
  const sets = fc.array(fc.tuple(fc.nat(4), fc.nat(LIMIT + 20)), { maxLength: 60 });
  fc.assert(
    fc.property(sets, (steps) => {
      const holders = new Holders(5);
      for (const [index, byteCount] of steps) {
        const evictedBefore = holders.evicted.length;
        const others = holders.kept.reduce((sum, kept, i) => (i === index ? sum : sum + kept), 0);
        holders.set(index, byteCount);
        const sum = holders.kept.reduce((all, kept) => all + kept, 0);
        ok(sum <= LIMIT, `${sum} bytes are kept`);
        equal(holders.evicted.length > evictedBefore, others + byteCount > LIMIT);
      }
    }),
  );
});

test("unfinished bytes: who is evicted is told what all keep, and the limit", () => {
  const holders = new Holders(3);
  holders.set(0, 30);
  holders.set(1, 50);
  holders.set(2, 21);
  deepEqual(
    holders.evicted.map(({ index, cause }) => [index, cause.code, cause.message]),
    [
      [
        1,
        "BUSY",
        "unfinished messages of 3 connections take 101 bytes, limit 100, and 50 of it are here",
      ],
    ],
  );
});

test("unfinished frames: finished messages, pings and pongs come off, a message in many chunks adds up", () => {
  const stream = new PassThrough();
  const socket = new EventEmitter();
  /** What the websocket finds in the next chunk. */
  let events: readonly (readonly [event: string, payload?: Uint8Array])[] = [];
  stream.on("data", () => {
    for (const [event, payload] of events) socket.emit(event, payload);
  });
  const counts: number[] = [];
  countUnfinished(socket, stream, (byteCount) => counts.push(byteCount));
  const chunk = (byteCount: number, ...found: typeof events): void => {
    events = found;
    stream.emit("data", new Uint8Array(byteCount));
  };
  chunk(100);
  chunk(100);
  chunk(11, ["ping", new Uint8Array(5)]);
  chunk(6, ["pong", new Uint8Array(0)]);
  chunk(50, ["message"]);
  chunk(6, ["ping", new Uint8Array(0)]);
  chunk(70);
  deepEqual(counts, [100, 200, 200, 200, 0, 0, 70]);
});
