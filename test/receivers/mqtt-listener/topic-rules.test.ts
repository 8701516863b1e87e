import assert from "node:assert/strict";
import { test } from "node:test";
import { covers, faultOfFilter, isAllowed } from "../../../receivers/mqtt-listener/topic-rules.ts";

for (const [allowed, wanted, isCovered] of [
  ["a/b", "a/b", true],
  ["a/b", "a/c", false],
  ["a/+", "a/b", true],
  ["a/+", "a/b/c", false],
  ["a/+", "a", false],
  ["a/#", "a/b/c", true],
  ["a/#", "a/+/c", true],
  ["a/#", "a/#", true],
  ["a/+", "a/+", true],
  ["a/+", "a/#", false],
  ["a/b", "a/+", false],
  ["#", "a/b", true],
  ["#", "#", true],
  ["+", "#", false],
  ["#", "$SYS/x", false],
  ["+/x", "$SYS/x", false],
  ["$SYS/#", "$SYS/x", true],
  ["a//b", "a//b", true],
  ["a/+/b", "a//b", true],
] as const)
  test(`topics: ${allowed} ${isCovered ? "covers" : "does not cover"} ${wanted}`, () => {
    assert.equal(covers(allowed, wanted), isCovered);
  });

test("topics: what is no filter is named", () => {
  for (const filter of ["", "a/#/b", "a+/b", "a/b#", "a\0b"])
    assert.notEqual(faultOfFilter(filter), undefined, filter);
  for (const filter of ["#", "+", "a/+/b/#", "/", "a//b"])
    assert.equal(faultOfFilter(filter), undefined, filter);
});

const RULES = [
  { publish: ["devices/%u/#", "by-id/%c"], subscribe: ["commands/%u"] },
  { user: "admin*", publish: ["#"], subscribe: ["#"] },
];
for (const [user, clientId, action, topic, isFine] of [
  ["meter-7", "x", "publish", "devices/meter-7/temperature", true],
  ["meter-7", "x", "publish", "devices/meter-7", true],
  ["meter-7", "x", "publish", "devices/meter-8/temperature", false],
  ["meter-7", "x", "publish", "by-id/x", true],
  ["meter-7", "x", "subscribe", "commands/meter-7", true],
  ["meter-7", "x", "subscribe", "commands/+", false],
  ["meter-7", "x", "subscribe", "#", false],
  ["administrator", "x", "subscribe", "#", true],
  ["", "x", "publish", "devices//a", false],
  // Names that would be wildcards, or more than one level, stand for nothing.
  ["+", "x", "publish", "devices/meter-8/a", false],
  ["#", "x", "subscribe", "commands/#", false],
  ["a/b", "x", "publish", "devices/a/b/c", false],
  ["meter-7", "+", "publish", "by-id/other", false],
  ["%c", "x", "publish", "devices/x/a", false],
] as const)
  test(`acl: ${user || "nobody"} as ${clientId} may ${isFine ? "" : "not "}${action} ${topic}`, () => {
    assert.equal(isAllowed(RULES, { user, clientId }, action, topic), isFine);
  });

test("acl: no rule, nothing", () => {
  assert.equal(isAllowed([], { user: "a", clientId: "a" }, "publish", "a"), false);
});
