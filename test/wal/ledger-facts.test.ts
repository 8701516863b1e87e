import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { Ends, Plan, Ranges } from "../../src/contract/log.ts";
import { codeOf, HoldfastError } from "../../src/errors.ts";
import { canonicalJson, type Json } from "../../src/wal/canonical-json.ts";
import {
  decodeFacts,
  decodeSnapshot,
  encodeFacts,
  encodeSnapshot,
  type Fact,
  type LedgerState,
} from "../../src/wal/ledger-facts.ts";
import { applyFacts, NEW_LEDGER } from "../../src/wal/ledger-state.ts";

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const count = fc.nat(2 ** 40);
const offsets = fc.dictionary(name, count, { maxKeys: 3 });
const ends: fc.Arbitrary<Ends> = fc.dictionary(name, offsets, { maxKeys: 3 });
const range = fc
  .tuple(count, fc.nat(1_000))
  .map(([from, length]): readonly [number, number] => [from, from + length]);
const ranges: fc.Arbitrary<Ranges> = fc.dictionary(
  name,
  fc.dictionary(name, range, { maxKeys: 3 }),
  { maxKeys: 3 },
);
const timeMs = fc.double({ noNaN: true, noDefaultInfinity: true });
const plan: fc.Arbitrary<Plan> = fc.record(
  {
    pipeline: name,
    batchId: count,
    epoch: count,
    batchTimeMs: timeMs,
    watermarkMs: timeMs,
    graphHash: fc.string(),
    ranges,
    deadLettersFrom: count,
  },
  {
    requiredKeys: [
      "pipeline",
      "batchId",
      "epoch",
      "batchTimeMs",
      "graphHash",
      "ranges",
      "deadLettersFrom",
    ],
  },
);
const tokens = fc.dictionary(name, fc.uint8Array({ maxLength: 40 }), { maxKeys: 3 });
const log = fc.constantFrom("log", "dead-letters");
const facts: fc.Arbitrary<Fact> = fc.oneof(
  fc.record({
    fact: fc.constant("identity" as const),
    identity: fc.record({ machineId: fc.string(), inode: fc.string() }),
  }),
  fc.record({
    fact: fc.constant("register" as const),
    pipeline: name,
    writerId: fc.string(),
    start: ends,
  }),
  fc.record({ fact: fc.constant("plan" as const), plan }),
  fc.record({
    fact: fc.constant("commit" as const),
    commit: fc.record({ pipeline: name, batchId: count, epoch: count, tokens }),
    ends,
  }),
  fc.record({
    fact: fc.constant("orphan" as const),
    pipeline: name,
    sinceMs: fc.option(timeMs, { nil: undefined }),
  }),
  fc.record({ fact: fc.constant("forget" as const), pipeline: name }),
  fc.record({
    fact: fc.constant("cut" as const),
    log,
    cut: fc.record({
      segmentId: count,
      endPosition: count,
      endOffset: count,
      lastHeaderCrc: count,
    }),
  }),
  fc.record({
    fact: fc.constant("gap" as const),
    log,
    gap: range.map(([from, to]) => ({ from, to: to + 1, reason: "damaged" as const })),
  }),
  fc.record({
    fact: fc.constant("floor" as const),
    log,
    floor: fc.record({ segmentId: count, offset: count }),
  }),
);

/** Without the difference between -0 and 0 and between plain and null-prototype objects, which JSON does not keep. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, field: unknown) =>
      field instanceof Uint8Array ? [...field] : field,
    ),
  );
}

test("ledger facts: what is decoded is what was encoded, and encodes to the same bytes", () => {
  fc.assert(
    fc.property(fc.array(facts, { maxLength: 6 }), (list) => {
      const bytes = encodeFacts(list);
      const decoded = decodeFacts(bytes);
      deepEqual(plain(decoded), plain(list));
      deepEqual(encodeFacts(decoded), bytes);
    }),
    { numRuns: 200 },
  );
});

test("ledger facts: a snapshot is the state, whatever facts made it", () => {
  fc.assert(
    fc.property(fc.array(facts, { maxLength: 20 }), fc.nat(), (list, epoch) => {
      const state = applyFacts({ ...NEW_LEDGER, epoch }, list);
      const bytes = encodeSnapshot(state);
      const decoded = decodeSnapshot(bytes);
      deepEqual([decoded.epoch, decoded.factCount], [epoch, list.length]);
      deepEqual([...decoded.pipelines.keys()].toSorted(), [...state.pipelines.keys()].toSorted());
      deepEqual(encodeSnapshot(decoded), bytes);
      const more = applyFacts(decoded, list);
      deepEqual(encodeSnapshot(more), encodeSnapshot(applyFacts(state, list)));
    }),
    { numRuns: 200 },
  );
});

test("ledger facts: bytes that are none are refused with a code, never with another error", () => {
  const state: LedgerState = applyFacts(NEW_LEDGER, [
    { fact: "register", pipeline: "p", writerId: "w", start: { log: { "0": 1 } } },
  ]);
  const samples = [encodeSnapshot(state), encodeFacts([{ fact: "forget", pipeline: "p" }])];
  fc.assert(
    fc.property(
      fc.constantFrom(...samples),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (bytes, at, change) => {
        const changed = bytes.slice();
        changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ change;
        for (const decode of [decodeFacts, decodeSnapshot]) {
          try {
            decode(changed);
          } catch (error) {
            ok(error instanceof HoldfastError, String(error));
            ok(["LOG_DAMAGED", "LOG_VERSION"].includes(codeOf(error)));
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

const refused: readonly {
  readonly title: string;
  readonly json: Json;
  readonly code: string;
  readonly message: RegExp;
}[] = [
  { title: "no list", json: {}, code: "LOG_DAMAGED", message: /no list of facts/ },
  {
    title: "a fact of a newer program",
    json: [{ fact: "merge" }],
    code: "LOG_VERSION",
    message: /"merge"/,
  },
  {
    title: "a gap for a reason of a newer program",
    json: [{ fact: "gap", log: "log", from: 0, to: 1, reason: "eaten" }],
    code: "LOG_VERSION",
    message: /"eaten"/,
  },
  {
    title: "a missing field",
    json: [{ fact: "forget" }],
    code: "LOG_DAMAGED",
    message: /fact 0\.pipeline is missing, expected text/,
  },
  {
    title: "a number that is none",
    json: [{ fact: "floor", log: "log", segmentId: -1, offset: 0 }],
    code: "LOG_DAMAGED",
    message: /segmentId is -1, expected an integer from 0/,
  },
  {
    title: "an offset beyond 2^53",
    json: [{ fact: "floor", log: "log", segmentId: 1, offset: 2 ** 60 }],
    code: "LOG_DAMAGED",
    message: /offset/,
  },
  {
    title: "a fact that is no object",
    json: [7],
    code: "LOG_DAMAGED",
    message: /fact 0 is 7, expected an object/,
  },
];
for (const { title, json, code, message } of refused) {
  test(`ledger facts: ${title} is refused with ${code}`, () => {
    throws(() => decodeFacts(Buffer.from(canonicalJson(json))), { code, message });
  });
}

test("canonical json: keys are sorted at every depth and what is undefined is left out", () => {
  equal(
    canonicalJson({ b: 1, a: [{ d: null, c: "x" }, true], e: undefined }),
    `{"a":[{"c":"x","d":null},true],"b":1}`,
  );
  const twins = (value: Json): boolean =>
    canonicalJson(value) === canonicalJson(JSON.parse(JSON.stringify(value)));
  fc.assert(
    fc.property(fc.jsonValue(), (value) => twins(JSON.parse(JSON.stringify(value)))),
    { numRuns: 100 },
  );
});

test("canonical json: a key that names the prototype is a key like any other", () => {
  const bytes = Buffer.from(
    `[{"fact":"register","pipeline":"__proto__","writerId":"w","start":{"__proto__":{"0":1}}}]`,
  );
  const [fact] = decodeFacts(bytes);
  ok(fact?.fact === "register");
  deepEqual(Object.keys(fact.start), ["__proto__"]);
  equal(Object.getPrototypeOf({}), Object.prototype);
});
