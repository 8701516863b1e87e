import { throws } from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { verifyParts } from "../../bench/verify.ts";

const line = (id: number): string => `{"id":"${String(id).padStart(9, "0")}","ts":1763692207123}\n`;

function withParts(
  parts: Readonly<Record<string, string>>,
  work: (directory: string) => void,
): void {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-verify-"));
  try {
    for (const [name, text] of Object.entries(parts)) writeFileSync(join(directory, name), text);
    work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
const expected = { count: 4, wanted: (id: number) => id !== 2 };

test("verify: every wanted id once over all parts is fine", () => {
  withParts({ "0.jsonl": line(0) + line(3), "2.jsonl": line(1) }, (directory) =>
    verifyParts(directory, expected),
  );
});

test("verify: lines that cross the chunks of reading are seen once each", () => {
  const count = 40_000;
  const text = Array.from({ length: count }, (_, id) => line(id)).join("");
  withParts({ "0.jsonl": text }, (directory) =>
    verifyParts(directory, { count, wanted: () => true }),
  );
});

const breaches: readonly {
  title: string;
  parts: Readonly<Record<string, string>>;
  message: RegExp;
}[] = [
  {
    title: "a missing id",
    parts: { "0.jsonl": line(0) + line(1) },
    message: /1 records missing, 0 repeated, 0 /,
  },
  {
    title: "a repeated id",
    parts: { "0.jsonl": line(0) + line(1) + line(3) + line(1) },
    message: /0 records missing, 1 repeated, 0 /,
  },
  {
    title: "an id that the filter drops",
    parts: { "0.jsonl": line(0) + line(1) + line(2) + line(3) },
    message: /0 repeated, 1 that/,
  },
  {
    title: "half a line at the end",
    parts: { "0.jsonl": `${line(0)}{"id` },
    message: /bytes that are no line/,
  },
  { title: "a part that is still open", parts: { ".0.jsonl.open": line(0) }, message: /are open/ },
];

for (const { title, parts, message } of breaches)
  test(`verify: ${title} is found`, () => {
    withParts(parts, (directory) => throws(() => verifyParts(directory, expected), message));
  });
