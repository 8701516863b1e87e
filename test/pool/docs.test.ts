import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { POOL_DEFAULTS } from "../../src/pool/options.ts";
import { readText, repositoryRoot } from "../support/repository.ts";

test("docs/pools.md: the table of options has every number and its default", () => {
  const rows = Array.from(
    readText(repositoryRoot(), "docs/pools.md").matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm),
    ([, name = "", value = ""]) => [name, Number(value.replaceAll(",", ""))] as const,
  );
  const numbers = Object.entries(POOL_DEFAULTS).filter(([, value]) => typeof value === "number");
  deepEqual(Object.fromEntries(rows), Object.fromEntries(numbers));
});
