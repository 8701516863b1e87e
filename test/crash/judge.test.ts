import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";

const counts = (...ids: readonly string[]): ReadonlyMap<string, number> => {
  const result = new Map<string, number>();
  for (const id of ids) result.set(id, (result.get(id) ?? 0) + 1);
  return result;
};
const sent = new Set(["a", "b", "c", "d"]);
const acknowledged = new Set(["a", "b"]);

test("judge: acknowledged ids once in both sinks and others at most once are fine", () => {
  const verdict = judge({
    sent,
    acknowledged,
    sinks: { parts: counts("a", "b", "c"), table: counts("c", "b", "a") },
  });
  deepEqual(verdict, { problems: [], unacknowledgedStored: 1 });
});

const breaches: readonly {
  title: string;
  parts: ReadonlyMap<string, number>;
  table: ReadonlyMap<string, number>;
  problems: readonly string[];
}[] = [
  {
    title: "a lost id is found in each sink that lacks it",
    parts: counts("a"),
    table: counts("a"),
    problems: ["1 acknowledged and not in parts: b", "1 acknowledged and not in table: b"],
  },
  {
    title: "a repeated id is found, acknowledged or not",
    parts: counts("a", "b", "c", "c"),
    table: counts("a", "a", "b", "c"),
    problems: ["1 more than once in parts: c", "1 more than once in table: a"],
  },
  {
    title: "an id that nobody sent is found",
    parts: counts("a", "b", "z"),
    table: counts("a", "b", "z"),
    problems: ["1 in parts and never sent: z", "1 in table and never sent: z"],
  },
  {
    title: "sinks that differ are found, although the id was not acknowledged",
    parts: counts("a", "b", "c"),
    table: counts("a", "b", "d"),
    problems: ["1 in parts and not in table: c", "1 in table and not in parts: d"],
  },
];

for (const { title, parts, table, problems } of breaches)
  test(`judge: ${title}`, () => {
    deepEqual(judge({ sent, acknowledged, sinks: { parts, table } }).problems, problems);
  });
