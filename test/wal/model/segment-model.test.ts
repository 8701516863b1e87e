import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { saltOf } from "../../../src/wal/format.ts";
import { atOrBehind, behindOnly, ruleWith, walkRule } from "./reference-rule.ts";
import {
  acknowledgedEnd,
  blocksInFlight,
  CLOSE,
  type Cut,
  DATA,
  type EntryShape,
  type History,
  historyOf,
  imageAfter,
  LONG_DATA,
  LONG_NAMES,
  NAMES,
  POSITIONS,
  type RecoveryRule,
  violation,
  WITNESS,
} from "./segment-model.ts";

/** Every type of entry, each with every other kind before and behind it. */
const shapes: readonly EntryShape[] = [
  NAMES,
  POSITIONS,
  LONG_DATA,
  WITNESS,
  DATA,
  LONG_NAMES,
  DATA,
  POSITIONS,
  LONG_DATA,
  NAMES,
  WITNESS,
  DATA,
  CLOSE,
];

const uuid = new Uint8Array(16).fill(5);
const salt = saltOf(2, uuid);
/** What the file held in its former life: valid entries, at other offsets and of another salt. */
const former = imageAfter(
  historyOf(
    [LONG_DATA, DATA, DATA, DATA, NAMES, DATA, DATA, LONG_DATA, DATA, DATA],
    saltOf(1, uuid),
  ),
  { inFlight: 10, keptBlocks: 0, depth: 1, flip: undefined },
  undefined,
);

const start = { firstOffset: 100, provenOffset: 0 } as const;

interface Outcome {
  readonly cases: number;
  readonly violations: readonly string[];
}

/** One flip per part of an entry: first and last byte of its header and body, and the padding behind. */
function flipsOf(history: History, entry: number): NonNullable<Cut["flip"]>[] {
  const { entryBytes = 0 } = history.entries[entry] ?? {};
  const bytes = [0, 4, 9, 12, 16, 24, 44, 52, 71, 72, entryBytes - 1, entryBytes];
  return bytes.flatMap((byteInEntry, index) =>
    [index % 8, (index + 3) % 8].map((bit) => ({ entry, byteInEntry, bit })),
  );
}

/** Every cut, every subset of the blocks in flight, every flip. */
function* allCuts(history: History, depth: number): Generator<Cut> {
  for (let inFlight = 0; inFlight <= history.entries.length; inFlight += 1) {
    const written = Math.min(inFlight + depth, history.entries.length);
    const flips = Array.from({ length: written }, (_, entry) => flipsOf(history, entry)).flat();
    const subsets = 1 << blocksInFlight(history, inFlight, depth);
    for (let keptBlocks = 0; keptBlocks < subsets; keptBlocks += 1) {
      for (const flip of [undefined, ...flips]) yield { inFlight, keptBlocks, depth, flip };
    }
  }
}

/** Tries every cut with a rule. */
function tryAll(
  history: History,
  rule: RecoveryRule,
  how: { readonly depth?: number; readonly isEndKnown?: boolean } = {},
): Outcome {
  let cases = 0;
  const violations: string[] = [];
  for (const cut of allCuts(history, how.depth ?? 1)) {
    const provenOffset = how.isEndKnown === true ? acknowledgedEnd(history, cut.inFlight) : 0;
    const found = rule(imageAfter(history, cut, former), history, {
      firstOffset: 100,
      provenOffset,
    });
    const wrong = violation(history, cut, found, provenOffset);
    cases += 1;
    if (wrong !== undefined) violations.push(`${wrong}; ${JSON.stringify(cut)}`);
  }
  return { cases, violations };
}

test("recovery rule: every cut, every subset of blocks in flight, a flip in any entry: nothing acknowledged is lost", () => {
  for (const rule of [walkRule, ruleWith(atOrBehind)]) {
    const { cases, violations } = tryAll(historyOf(shapes, salt, 2), rule);
    deepEqual(violations.slice(0, 3), []);
    ok(cases > 4_000, `${cases} cases`);
  }
});

test("recovery rule: an end that the ledger or a SEAL knows leaves no loss silent", () => {
  deepEqual(
    tryAll(historyOf(shapes, salt, 2), walkRule, { isEndKnown: true }).violations.slice(0, 3),
    [],
  );
  const { violations } = tryAll(historyOf(shapes, salt, 2), ruleWith(atOrBehind), {
    isEndKnown: true,
  });
  match(violations[0] ?? "", /is damaged and nobody was told/, "control: a rule that does not ask");
});

test("recovery rule: without a flip there is never a gap", () => {
  const history = historyOf(shapes, salt, 2);
  for (let inFlight = 0; inFlight <= history.entries.length; inFlight += 1) {
    for (
      let keptBlocks = 0;
      keptBlocks < 1 << blocksInFlight(history, inFlight, 1);
      keptBlocks += 1
    ) {
      const found = walkRule(
        imageAfter(history, { inFlight, keptBlocks, depth: 1, flip: undefined }, former),
        history,
        start,
      );
      deepEqual([found.gaps, found.accepted.length >= inFlight], [[], true]);
    }
  }
});

test("recovery rule, control: taking only later offsets cuts acknowledged records behind a damaged table", () => {
  const { violations } = tryAll(historyOf(shapes, salt, 2), ruleWith(behindOnly));
  ok(violations.length > 0);
  match(violations[0] ?? "", /was acknowledged and is not there/);
});

test("recovery rule, control: without a salt per life, a recycled file gives back its former records", () => {
  const same = saltOf(1, uuid);
  const { violations } = tryAll(historyOf(shapes.slice(0, 5), same, 1), walkRule);
  ok(violations.some((wrong) => wrong.includes("never wrote")));
});

test("recovery rule, control: with two writes in flight a torn one looks like damage", () => {
  const { violations } = tryAll(historyOf([NAMES, LONG_DATA, DATA, DATA], salt, 2), walkRule, {
    depth: 2,
  });
  ok(violations.some((wrong) => wrong.includes("where nothing of the kind was destroyed")));
});

test("recovery rule: a witness makes the last acknowledged entry provable", () => {
  const flip = { entry: 1, byteInEntry: 80, bit: 0 };
  const bare = historyOf([NAMES, DATA], salt, 2);
  const silent = walkRule(
    imageAfter(bare, { inFlight: 2, keptBlocks: 0, depth: 1, flip }, undefined),
    bare,
    start,
  );
  const witnessed = historyOf([NAMES, DATA, WITNESS], salt, 2);
  const told = walkRule(
    imageAfter(witnessed, { inFlight: 3, keptBlocks: 0, depth: 1, flip }, undefined),
    witnessed,
    start,
  );
  deepEqual([silent.gaps, told.gaps], [[], [{ from: 100, to: 103 }]]);
});

test("recovery rule: any history, any cut, any flip", () => {
  const anyShape = fc.constantFrom<EntryShape>(
    NAMES,
    LONG_NAMES,
    POSITIONS,
    WITNESS,
    DATA,
    LONG_DATA,
  );
  const arbitrary = fc.record({
    shapes: fc.array(anyShape, { minLength: 1, maxLength: 12 }),
    at: fc.nat(),
    kept: fc.nat(),
    flips: fc.option(fc.record({ entry: fc.nat(), byte: fc.nat(), bit: fc.nat(7) }), {
      nil: undefined,
    }),
  });
  fc.assert(
    fc.property(arbitrary, ({ shapes: list, at, kept, flips }) => {
      const history = historyOf(list, salt, 2);
      const inFlight = at % (list.length + 1);
      const written = Math.min(inFlight + 1, list.length);
      const entry = (flips?.entry ?? 0) % written;
      const flip = flips && {
        entry,
        byteInEntry: flips.byte % (history.entries[entry]?.bytes.length ?? 1),
        bit: flips.bit,
      };
      const cut: Cut = {
        inFlight,
        keptBlocks: kept % (1 << blocksInFlight(history, inFlight, 1)),
        depth: 1,
        flip,
      };
      equal(
        violation(history, cut, walkRule(imageAfter(history, cut, former), history, start)),
        undefined,
      );
    }),
    { numRuns: 400 },
  );
});
