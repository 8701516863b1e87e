import { deepEqual, equal, ok } from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, within } from "./support/deadline.ts";
import { freePorts } from "./support/free-port.ts";
import { RunningProgram } from "./support/running-program.ts";
import { openSqlite } from "./support/sqlite-reader.ts";

const LIMIT_MS = 30_000;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The first TypeScript block of the README; it has no types, so Node runs it as it is. */
async function example(): Promise<string> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const code = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1];
  ok(code !== undefined, "README.md has a ts block");
  return code;
}

/** Sends a line and ends; resolves with everything that came back. */
function exchange(port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.end(line));
    socket.on("data", (bytes) => (answer += bytes.toString()));
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

/** What the example has stored; rejects while there is no table. */
async function rows(path: string): Promise<readonly object[]> {
  const database = await openSqlite(path);
  try {
    return database
      .prepare("SELECT device, temperature FROM readings")
      .all()
      .map((row) => ({ ...row }));
  } finally {
    database.close();
  }
}

test("README: the example runs, acknowledges a record and stores it", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-readme-"));
  const [port = 0] = await freePorts(1);
  // Beside the package, so that it finds `holdfast` by its name as a user's module does.
  const module = join(ROOT, "dist", `readme-example-${process.pid}.mjs`);
  context.after(async () => {
    await rm(module, { force: true });
    await rm(directory, { recursive: true, force: true });
  });
  const code = await example();
  ok(code.includes("port: 9000"), "the example listens on port 9000");
  await writeFile(module, code.replace("port: 9000", `port: ${port}`));
  const program = new RunningProgram({ arguments: [module], directory });
  context.after(() => program.kill());
  const listens = async (): Promise<boolean> =>
    (await exchange(port, "").catch(() => undefined)) !== undefined;
  await eventually("the example listens", listens, { everyMs: 50, deadlineMs: LIMIT_MS });
  equal(
    await within(LIMIT_MS, "the count", exchange(port, '{"device":"a","temperature":21.5}\n')),
    "1\n",
  );
  // It listens before its store is open: what is stopped that early is processed at the next start.
  const store = join(directory, "data", "readings.db");
  const stored = async (): Promise<boolean> => (await rows(store).catch(() => [])).length > 0;
  await eventually("the row", stored, { everyMs: 50, deadlineMs: LIMIT_MS });
  program.signal("SIGTERM");
  deepEqual(await within(LIMIT_MS, "the end", program.exited), { code: 0, signal: null });
  deepEqual(await rows(store), [{ device: "a", temperature: 21.5 }]);
});
