import { equal, ok } from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type EndedProgram, runToEnd } from "../support/run-to-end.ts";
import { repositoryRoot } from "../support/repository.ts";

const ROOT = repositoryRoot();

/** Runs a test file beside the package, so that it finds `holdfast` by its name. */
async function runTest(name: string, code: string): Promise<EndedProgram> {
  const module = join(ROOT, "dist", `${name}-${process.pid}.mjs`);
  await writeFile(module, code);
  try {
    return await runToEnd(process.execPath, [module]);
  } finally {
    await rm(module, { force: true });
  }
}

/** The js block that uses this. */
async function example(name: string): Promise<string> {
  const page = await readFile(join(ROOT, "docs/testing.md"), "utf8");
  const blocks = Array.from(page.matchAll(/^```js\n(.*?)^```$/gms), ([, block = ""]) => block);
  const code = blocks.find((block) => block.includes(name));
  ok(code !== undefined, `docs/testing.md has a js block with ${name}`);
  return code;
}

test("docs/testing.md: the example of the proxy passes, and fails where a fault is not set", async () => {
  const code = await example("FaultProxy");
  const passed = await runTest("proxy-example", code);
  equal(passed.code, 0, passed.output);
  const faults = code.match(/^ *await proxy\.set\(.*$/gm) ?? [];
  equal(faults.length, 4);
  for (const line of faults) {
    const failed = await runTest("proxy-example-broken", code.replace(line, ""));
    equal(failed.code, 1, `without ${line}:\n${failed.output}`);
  }
});

test("docs/testing.md: the example of the disk passes, and fails without either sync", async () => {
  const code = await example("SimulatedDisk");
  const passed = await runTest("testing-example", code);
  equal(passed.code, 0, passed.output);
  for (const line of ["await file.sync();", "await files.syncDirectory(directory);"]) {
    ok(code.includes(line), line);
    const failed = await runTest("testing-example-broken", code.replace(line, ""));
    equal(failed.code, 1, failed.output);
    ok(/disk with seed \d+/.test(failed.output), failed.output);
  }
});
