import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { type ConfigNode, plainValue } from "../../src/config/node.ts";
import { Problems } from "../../src/config/problems.ts";
import { parseSource } from "../../src/config/source.ts";
import { plainScalar, SUBSTITUTED_BYTES_MAX, substitute } from "../../src/config/substitution.ts";

const variables = { PORT: "9001", EMPTY: "", NAME: "gate", TRAP: "[1, 2]", LINES: "a: b\nc: d" };

async function replaced(
  yaml: string,
  files: Readonly<Record<string, string>> = {},
): Promise<{ readonly value: unknown; readonly problems: Problems }> {
  const problems = new Problems();
  const root = parseSource("holdfast.yaml", yaml, problems);
  const readText = (path: string): Promise<string> => {
    const text = files[path];
    return text === undefined
      ? Promise.reject(new Error(`ENOENT: no such file, open '${path}'`))
      : Promise.resolve(text);
  };
  const node: ConfigNode | undefined =
    root === undefined ? undefined : await substitute(root, { variables, readText }, problems);
  return { value: node === undefined ? undefined : plainValue(node), problems };
}

const replacements: readonly (readonly [title: string, yaml: string, value: unknown])[] = [
  ["a variable is typed as if it stood there", "port: ${PORT}", { port: 9001 }],
  ["in quotes too", 'port: "${PORT}"', { port: 9001 }],
  ["a default where the variable is missing", "port: ${MISSING:-9000}", { port: 9000 }],
  ["a default where the variable is empty", "port: ${EMPTY:-9000}", { port: 9000 }],
  ["an empty variable without a default is nothing", "port: ${EMPTY}", { port: null }],
  ["an empty default is nothing", "port: ${MISSING:-}", { port: null }],
  ["in the middle of a text", "url: http://${NAME}:${PORT}/x", { url: "http://gate:9001/x" }],
  ["a default with a colon and a path", "data: ${MISSING:-./data:x}", { data: "./data:x" }],
  ["inside lists", "columns: [a, '${NAME}']", { columns: ["a", "gate"] }],
  ["a file without its last line end", "token: ${file:/run/token}", { token: "s3cret" }],
  ["no reference: text stays text", 'port: "9000"', { port: "9000" }],
  ["$${ writes ${", "text: $${PORT} is ${PORT}", { text: "${PORT} is 9001" }],
  ["a value never becomes a list", "a: ${TRAP}", { a: "[1, 2]" }],
  ["a value never becomes a mapping", "a: ${LINES}", { a: "a: b\nc: d" }],
  ["keys are left alone", "${NAME}: 1", { "${NAME}": 1 }],
];

for (const [title, yaml, value] of replacements) {
  test(`substitution: ${title}`, async () => {
    const result = await replaced(yaml, { "/run/token": "s3cret\n" });
    deepEqual(result.problems.report().problems, []);
    deepEqual(result.value, value);
  });
}

test("substitution: a missing variable is a problem at its value", async () => {
  const { problems } = await replaced("a: 1\nport: ${TCP_PORT}");
  const [problem] = problems.report().problems;
  equal(problem?.code, "CONFIG_SUBSTITUTION");
  match(problem?.message ?? "", /no TCP_PORT/);
  deepEqual(problem?.at, { file: "holdfast.yaml", line: 2, column: 7, width: 11 });
});

test("substitution: every missing variable is reported", async () => {
  const { problems } = await replaced("a: ${A}\nb: [ '${B}' ]\nc: ${file:/nowhere}");
  deepEqual(
    problems.report().problems.map(({ code }) => code),
    ["CONFIG_SUBSTITUTION", "CONFIG_SUBSTITUTION", "CONFIG_SUBSTITUTION"],
  );
});

for (const reference of ["${}", "${1ST}", "${A B}", "${A-b}", "${file:}"]) {
  test(`substitution: ${reference} is refused`, async () => {
    const { problems } = await replaced(`a: '${reference}'`);
    equal(problems.report().problems[0]?.code, "CONFIG_SUBSTITUTION");
  });
}

test("substitution: a file longer than the limit is refused with both numbers", async () => {
  const { problems } = await replaced("a: ${file:/big}", {
    "/big": "x".repeat(SUBSTITUTED_BYTES_MAX + 1),
  });
  match(problems.report().problems[0]?.message ?? "", /65537.*65536/);
});

test("substitution: a text that came from the environment is typed as YAML types a plain scalar", () => {
  const words = fc.constantFrom(
    "true",
    "False",
    "null",
    "~",
    "0x1F",
    "0o17",
    "+12",
    "-0.5",
    "1e3",
    ".5",
    "5.",
    ".inf",
    "-.INF",
    ".nan",
    "1_000",
    "0b1",
    "yes",
    "on",
    "12e",
    "1.2.3",
    "e5",
    "+",
    "0x",
  );
  const digits = fc.stringMatching(/^[-+]?[0-9.eExo]{1,8}$/);
  fc.assert(
    fc.property(fc.oneof(words, digits, fc.stringMatching(/^[a-z0-9.+-]{1,10}$/)), (text) => {
      // Three dots or dashes are document marks, a dash alone a list: no plain scalars.
      fc.pre(!/^(?:---|\.\.\.|-)/.test(text) || /^-[0-9.]/.test(text));
      deepEqual(plainScalar(text), parse(`key: ${text}`).key);
    }),
    { numRuns: 500 },
  );
});
