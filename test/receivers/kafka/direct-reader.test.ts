/**
 * Reading a range: every offset once, in order, whatever a broker cuts where, and the same again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EMPTY_TRIES,
  type FetchResult,
  type Piece,
  READ_TRIES,
  readRange,
} from "../../../receivers/kafka/direct-reader.ts";
import type { RecordBatch } from "../../../receivers/kafka/record-batches.ts";
import { manyRuns } from "../../support/runs.ts";
import { ScriptedLog, steps } from "./scripted-log.ts";

interface Read {
  readonly from: number;
  readonly to: number;
  readonly keepsTombstones?: boolean;
  readonly fetch: (offset: number) => FetchResult;
  readonly foundNothing?: (offset: number) => void;
  readonly turn?: () => Promise<void>;
}

async function read({ fetch, ...range }: Read): Promise<readonly Piece[]> {
  const pieces: Piece[] = [];
  for await (const piece of readRange({
    label: "orders",
    keepsTombstones: true,
    foundNothing: () => undefined,
    turn: () => Promise.resolve(),
    ...range,
    fetch: async (offset) => fetch(offset),
    pause: () => Promise.resolve(),
  }))
    pieces.push(piece);
  return pieces;
}

/** One line per offset; throws where one comes twice, or not in its turn. */
function linesOf(pieces: readonly Piece[], from: number): readonly string[] {
  const lines: string[] = [];
  const add = (offset: number, line: string): void => {
    assert.equal(offset, from + lines.length);
    lines.push(line);
  };
  for (const piece of pieces)
    if (piece.kind === "gap")
      for (let offset = piece.from; offset < piece.to; offset++) add(offset, piece.reason);
    else
      for (const { offset, value } of piece.records)
        add(offset, value === null ? "nothing" : value.toString());
  return lines;
}

/** What the script says of an offset. */
function lineAt(log: ScriptedLog, offset: number, keepsTombstones = true): string {
  if (offset < log.begin) return "dropped";
  if (!log.records.has(offset)) return "absent";
  if (offset % 5 !== 4) return `value ${offset}`;
  return keepsTombstones ? "nothing" : "absent";
}

test("kafka direct reader: every offset of a range comes once and in order, and the same on every replay", async () => {
  const cuts = fc.array(fc.nat(4), { minLength: 1, maxLength: 8 });
  const property = fc.asyncProperty(
    fc.record({
      steps,
      range: fc.tuple(fc.nat(60), fc.nat(60)),
      begin: fc.oneof(fc.constant(0), fc.nat(40)),
      keepsTombstones: fc.boolean(),
      cuts: fc.tuple(cuts, cuts),
    }),
    async (made) => {
      const log = new ScriptedLog(made.steps);
      log.begin = Math.min(made.begin, log.end);
      const [from = 0, to = 0] = made.range
        .map((offset) => Math.min(offset, log.end))
        .toSorted((a, b) => a - b);
      const { keepsTombstones } = made;
      const expected = Array.from({ length: to - from }, (_, i) =>
        lineAt(log, from + i, keepsTombstones),
      );
      for (const [run, counts] of made.cuts.entries()) {
        let turn = run;
        const fetch = (offset: number): FetchResult =>
          log.fetch(offset, counts[turn++ % counts.length] ?? 1);
        const pieces = await read({ from, to, keepsTombstones, fetch });
        assert.deepEqual(linesOf(pieces, from), expected);
        for (const piece of pieces)
          if (piece.kind === "gap") assert.ok(piece.to > piece.from);
          else assert.ok(piece.records.length > 0);
      }
    },
  );
  await fc.assert(property, manyRuns);
});

test("kafka direct reader: retention that overtakes a range is one exact gap before what is left", async () => {
  const log = new ScriptedLog([
    { kind: "batch", producer: 0, kept: [true, true, true] },
    { kind: "batch", producer: 0, kept: [true, true, true] },
  ]);
  let fetches = 0;
  const pieces = await read({
    from: 0,
    to: 6,
    fetch: (offset) => {
      if (++fetches === 2) log.begin = 5;
      return log.fetch(offset, 1);
    },
  });
  assert.deepEqual(linesOf(pieces, 0), [
    "value 0",
    "value 1",
    "value 2",
    "dropped",
    "dropped",
    "value 5",
  ]);
  log.begin = 6;
  assert.deepEqual(await read({ from: 2, to: 6, fetch: (offset) => log.fetch(offset, 9) }), [
    { kind: "gap", from: 2, to: 6, reason: "dropped" },
  ]);
});

test("kafka direct reader: a begin that moves while an answer is made tells loss from holes", async () => {
  const log = new ScriptedLog([
    { kind: "vanished", count: 3 },
    { kind: "batch", producer: 0, kept: [true] },
  ]);
  const pieces = await read({
    from: 0,
    to: 4,
    fetch: (offset) => ({ ...log.fetch(offset, 9), begin: 2 }),
  });
  assert.deepEqual(linesOf(pieces, 0), ["dropped", "dropped", "absent", "value 3"]);
});

test("kafka direct reader: a partition that is gone in the middle is a gap from there on", async () => {
  const log = new ScriptedLog([
    { kind: "batch", producer: 0, kept: [true] },
    { kind: "batch", producer: 0, kept: [true, true] },
  ]);
  const pieces = await read({
    from: 0,
    to: 3,
    fetch: (offset) => (offset === 0 ? log.fetch(0, 1) : { kind: "gone" }),
  });
  assert.deepEqual(linesOf(pieces, 0), ["value 0", "partition-gone", "partition-gone"]);
});

test("kafka direct reader: a partition that ends before the range is KAFKA_TOPIC_RESET, after it was asked again", async () => {
  const log = new ScriptedLog([{ kind: "batch", producer: 0, kept: [true, true] }]);
  for (const [to, label] of [
    [4, "nothing behind the end"],
    [3, "one more"],
  ] as const) {
    let fetches = 0;
    const reading = read({
      from: 0,
      to,
      fetch: (offset) => {
        fetches++;
        return log.fetch(offset, 9);
      },
    });
    await assert.rejects(reading, { code: "KAFKA_TOPIC_RESET", message: /ends at 2/ }, label);
    assert.equal(fetches, 1 + READ_TRIES, label);
  }
  const outside = read({ from: 3, to: 4, fetch: (offset) => log.fetch(offset, 9) });
  await assert.rejects(outside, { code: "KAFKA_TOPIC_RESET" });
});

test("kafka direct reader: an end that is not known yet is asked for again", async () => {
  const log = new ScriptedLog([{ kind: "batch", producer: 0, kept: [true, true] }]);
  let fetches = 0;
  const pieces = await read({
    from: 0,
    to: 2,
    fetch: (offset) =>
      ++fetches < READ_TRIES
        ? { kind: "fetched", begin: 0, end: 0, batches: [], aborted: [] }
        : log.fetch(offset, 9),
  });
  assert.deepEqual(linesOf(pieces, 0), ["value 0", "value 1"]);
});

test("kafka direct reader: nothing at all counts as compacted only after many tries, and is told", async () => {
  const log = new ScriptedLog([{ kind: "batch", producer: 0, kept: [true, true] }]);
  const nothing: FetchResult = { kind: "fetched", begin: 0, end: 2, batches: [], aborted: [] };
  const readAfter = async (emptyCount: number): Promise<readonly [readonly string[], object]> => {
    const told: number[] = [];
    let fetches = 0;
    const pieces = await read({
      from: 0,
      to: 2,
      fetch: (offset) => (++fetches <= emptyCount ? nothing : log.fetch(offset, 9)),
      foundNothing: (offset) => told.push(offset),
    });
    return [linesOf(pieces, 0), told];
  };
  // As from a remote tier that is slow.
  assert.deepEqual(await readAfter(EMPTY_TRIES - 1), [["value 0", "value 1"], []]);
  assert.deepEqual(await readAfter(EMPTY_TRIES), [["absent", "absent"], [0]]);
});

test("kafka direct reader: others get their turn between the pieces of a batch, wanted or not", async () => {
  const log = new ScriptedLog([{ kind: "batch", producer: 0, kept: [true, true, true, true] }]);
  let turnCount = 0;
  const fetch = (offset: number): FetchResult => log.fetch(offset, 1);
  const turn = async (): Promise<void> => void turnCount++;
  assert.deepEqual(linesOf(await read({ from: 2, to: 4, fetch, turn }), 2), ["value 2", "value 3"]);
  assert.equal(turnCount, 1);
});

test("kafka direct reader: nothing is unpacked that is not wanted", async () => {
  const log = new ScriptedLog([
    { kind: "batch", producer: 0, kept: [true] },
    { kind: "batch", producer: 2, kept: [true] },
  ]);
  const refuse = (batch: RecordBatch): RecordBatch => ({
    ...batch,
    records: () => {
      throw new Error(`unpacked ${batch.firstOffset}`);
    },
  });
  const answer = log.fetch(0, 9);
  assert.ok(answer.kind === "fetched");
  const [first, ...rest] = answer.batches;
  assert.ok(first !== undefined);
  const batches = [first, ...rest.map(refuse)];
  const fetch = (): FetchResult => ({ ...answer, batches });
  // The second batch is aborted, and its mark lies behind the range.
  assert.deepEqual(linesOf(await read({ from: 0, to: 2, fetch }), 0), ["value 0", "absent"]);
});
