import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { type ConfigNode, nodeAt, plainValue } from "../../src/config/node.ts";
import { Problems, PROBLEMS_MAX } from "../../src/config/problems.ts";
import { CONFIG_CHARACTERS_MAX, NESTING_MAX, parseSource } from "../../src/config/source.ts";
import type { FilePlace, HoldfastError } from "../../src/errors.ts";

function parsed(text: string): ConfigNode {
  const problems = new Problems();
  const root = parseSource("f.yaml", text, problems);
  deepEqual(problems.report().problems, []);
  if (root === undefined) throw new Error("nothing was parsed");
  return root;
}

function problemsOf(text: string): readonly HoldfastError[] {
  const problems = new Problems();
  equal(parseSource("f.yaml", text, problems), undefined);
  return problems.report().problems;
}

function at(line: number, column: number, width: number): FilePlace {
  return { file: "f.yaml", line, column, width };
}

test("source: every value knows its place", () => {
  const root = parsed(
    "version: 1\nreceivers:\n  meters: { type: tcp, port: 90000 }\nlist:\n  - a\n  - 'b c'\n",
  );
  deepEqual(nodeAt(root, ["version"]).place, at(1, 10, 1));
  deepEqual(nodeAt(root, ["receivers", "meters", "port"]).place, at(3, 30, 5));
  deepEqual(nodeAt(root, ["list", 1]).place, at(6, 5, 5));
});

test("source: keys have places of their own", () => {
  const root = parsed("a: 1\nreceivers: { meters: 2 }");
  const entry = root.kind === "map" ? root.entries.get("receivers") : undefined;
  deepEqual(entry?.place, at(2, 1, 9));
});

test("source: a place of several lines is underlined on the first one", () => {
  const root = parsed("a:\n  b: 1\n  c: 2\n");
  deepEqual(nodeAt(root, ["a"]).place, at(2, 3, 4));
});

test("source: what is missing is shown where it should be", () => {
  const root = parsed("a: { b: 1 }");
  deepEqual(nodeAt(root, ["a", "c", "d"]).place, at(1, 4, 8));
});

test("source: text keeps how it was written", () => {
  const root = parsed("a: 0123\nb: '5'\nc: 1e3");
  deepEqual(
    ["a", "b", "c"]
      .map((key) => nodeAt(root, [key]))
      .map((node) => (node.kind === "scalar" ? [node.value, node.text, node.quoted] : [])),
    [
      [123, "0123", false],
      ["5", "5", true],
      [1000, "1e3", false],
    ],
  );
});

test("source: anchors are values like any other", () => {
  deepEqual(plainValue(parsed("a: &x { b: 1 }\nc: *x")), { a: { b: 1 }, c: { b: 1 } });
});

const broken: readonly (readonly [title: string, text: string, message: RegExp, line: number])[] = [
  ["a key twice", "a: 1\na: 2", /twice/, 2],
  ["a second document", "a: 1\n---\nb: 2", /more than one/, 2],
  ["a tab", "a:\n\tb: 1", /tab/, 2],
  ["an open brace", "a: { b: 1\nc: 2", /not YAML/, 2],
  ["an unknown anchor", "a: 1\nb: *nowhere", /no anchor &nowhere/, 2],
  ["a key that is a list", "? [a, b]\n: 1", /plain word/, 1],
];

for (const [title, text, message, line] of broken) {
  test(`source: ${title} is CONFIG_SYNTAX with its place`, () => {
    const [first] = problemsOf(text);
    equal(first?.code, "CONFIG_SYNTAX");
    match(first?.message ?? "", message);
    equal(first?.at?.line, line);
  });
}

test("source: a substitution that breaks braces is told to go into quotes", () => {
  const [first] = problemsOf("receivers:\n  meters: { type: tcp, port: ${TCP_PORT:-9000} }\n");
  match(first?.fix ?? "", /"\$\{TCP_PORT:-9000\}"/);
});

test("source: a file beyond the limit is refused with both numbers", () => {
  const [first] = problemsOf(" ".repeat(CONFIG_CHARACTERS_MAX + 1));
  match(first?.message ?? "", /1048577.*1048576/);
});

test("source: aliases that grow without end are refused", () => {
  const rows = [
    "a: &a [1,1,1,1,1,1,1,1,1,1]",
    ..."bcdefg"
      .split("")
      .map((name, index) => `${name}: &${name} [${`*${"abcdef"[index]},`.repeat(10)}]`),
  ];
  match(problemsOf(rows.join("\n"))[0]?.message ?? "", /more than 50000 values/);
});

test("source: nesting beyond the limit is refused", () => {
  match(
    problemsOf(`a: ${"[".repeat(NESTING_MAX + 2)}${"]".repeat(NESTING_MAX + 2)}`)[0]?.message ?? "",
    /nested deeper than 32/,
  );
});

test("source: a value that holds itself is refused", () => {
  equal(problemsOf("a: &x [ *x ]")[0]?.code, "CONFIG_SYNTAX");
});

test("problems: those beyond the limit are counted, the others come in file order", () => {
  const problems = new Problems();
  for (let line = PROBLEMS_MAX + 3; line > 0; line--)
    problems.add("CONFIG_VALUE", "wrong", { file: "f", line, column: 1 });
  const report = problems.report();
  deepEqual([report.problems.length, report.omittedCount], [PROBLEMS_MAX, 3]);
  equal(report.problems[0]?.at?.line, 4);
});

test("source: what is written is what is read", () => {
  const leaf = fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie("tree"), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
    ),
  }));
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tree, { maxKeys: 5, noNullPrototype: true }),
      (value) => {
        deepEqual(plainValue(parsed(stringify(value))), value);
      },
    ),
    { numRuns: 150 },
  );
});
