/**
 * The examples in the pages of receivers are what the program reads.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { listFiles, readText, repositoryRoot } from "../support/repository.ts";
import { loaded } from "./support.ts";

const root = repositoryRoot();
const pages = listFiles(root, "docs").filter((path) => /^docs\/receiver-[a-z-]+\.md$/.test(path));

for (const page of pages) {
  const examples = Array.from(
    readText(root, page).matchAll(/^```yaml\n(.*?)^```$/gms),
    ([, yaml = ""]) => yaml,
  );
  test(`${page}: has an example, and each is a valid configuration`, async () => {
    ok(examples.length > 0);
    for (const yaml of examples) {
      const variables = Array.from(yaml.matchAll(/\$\{(\w+)\}/g), ([, name = ""]) => [name, "x"]);
      const text = yaml.startsWith("version:") ? yaml : `version: 1\n${yaml}`;
      const { receivers, pipelines } = await loaded(text, {}, Object.fromEntries(variables));
      ok(receivers.length > 0 || pipelines.some(({ source }) => source !== undefined), yaml);
    }
  });
}

test("docs: units that commands restart are named by their paths", () => {
  const texts = ["README.md", ...listFiles(root, "docs")].map((path) => readText(root, path));
  const named = texts.flatMap((text) =>
    Array.from(text.matchAll(/holdfast units restart\s+([\w/-]+)/g), ([, name = ""]) => name),
  );
  ok(named.length > 3);
  deepEqual(
    named.filter((name) => !name.includes("/") && name !== "NAME" && name !== "the"),
    [],
  );
});
