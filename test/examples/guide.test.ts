/** The code in docs/writing-a-receiver.md is that of the examples, which are tested. */
import { deepEqual, notEqual } from "node:assert/strict";
import { test } from "node:test";
import { readText, repositoryRoot } from "../support/repository.ts";

test("writing a receiver: every block of code stands in an example or its test", () => {
  const root = repositoryRoot();
  const page = readText(root, "docs/writing-a-receiver.md");
  const blocks = Array.from(page.matchAll(/^```ts\n(.*?)^```$/gms), ([, code = ""]) => code);
  const sources = ["examples/receiver.ts", "test/examples/loggers.test.ts"];
  const texts = sources.map((path) => readText(root, path));
  notEqual(blocks.length, 0);
  deepEqual(
    blocks.filter((code) => !texts.some((text) => text.includes(code))),
    [],
  );
});
