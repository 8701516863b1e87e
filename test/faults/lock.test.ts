/**
 * One process at a time on a data directory, whatever happened before and whatever the lock file says.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { listening, startGateway } from "../crash/incarnation.ts";
import { within } from "../support/deadline.ts";
import { startedLine } from "../support/gateway-example.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { layOut, type Place } from "./place.ts";
import { running, runOnce, send, tableIds } from "./session.ts";

const LIMIT = { timeout: 120_000 };
const deadlineMs = 30_000;
const RACES = 20;
/** What a process that ends with DATA_LOCKED or LOG_MOVED answers. */
const EXIT_UNAVAILABLE = 69;

test("lock: after kill -9 it is free at once", LIMIT, async (context) => {
  const place = await layOut(context);
  for (const id of ["1", "2", "3"]) {
    const program = startGateway(place);
    await listening(place, program);
    await send(place, [id]);
    // Its text still names the process that is gone.
    match(await readFile(join(place.dataDirectory, "LOCK"), "utf8"), /^pid \d+$/m);
    await program.kill();
  }
  await runOnce(place, ["4"]);
  deepEqual(await tableIds(place), ["1", "2", "3", "4"]);
});

test(
  "lock: the number of a process that lives, in its text, keeps nobody out",
  LIMIT,
  async (context) => {
    const place = await layOut(context);
    await runOnce(place, ["1"]);
    // As after a restart of the machine, when the number belongs to another program.
    await writeFile(join(place.dataDirectory, "LOCK"), `pid ${process.pid}\nboot x\nsince y\n`);
    await runOnce(place, ["2"]);
    deepEqual(await tableIds(place), ["1", "2"]);
  },
);

/** The same data directory once more, with sinks and ports of its own. */
async function beside(context: TestContext, { dataDirectory }: Place): Promise<Place> {
  return layOut(context, { dataDirectory });
}

test(
  "lock: a second process is refused while the first runs, also when the lock file was removed",
  LIMIT,
  async (context) => {
    const place = await layOut(context);
    const other = await beside(context, place);
    await running(place, async (program) => {
      const second = startGateway(other);
      equal((await within(deadlineMs, "refusal", second.exited)).code, EXIT_UNAVAILABLE);
      match(second.output, new RegExp(`^DATA_LOCKED: .* process ${program.pid} `, "m"));
      await rm(join(place.dataDirectory, "LOCK"));
      const third = startGateway(other);
      equal((await within(deadlineMs, "refusal", third.exited)).code, 1);
      match(third.output, /^LOG_MOVED: /m);
      await send(place, ["1"]);
    });
  },
);

/** How many of them listen, and what the others printed before they ended. */
async function settle(
  contenders: readonly (readonly [Place, RunningProgram])[],
): Promise<{ readonly won: number; readonly lost: readonly string[] }> {
  const outcomes = contenders.map(([place, program]) => {
    const outcome = program.line(startedLine(place)).then(
      () => "runs",
      () => program.output,
    );
    return within(deadlineMs, "outcome", outcome);
  });
  const lost = (await Promise.all(outcomes)).filter((outcome) => outcome !== "runs");
  return { won: outcomes.length - lost.length, lost };
}

test(
  `lock: of two starts at the same moment exactly one wins, ${RACES} times`,
  LIMIT,
  async (context) => {
    const place = await layOut(context);
    const places = [place, await beside(context, place)] as const;
    await mkdir(place.dataDirectory, { mode: 0o700 });
    for (let race = 0; race < RACES; race += 1) {
      const contenders = places.map((each) => [each, startGateway(each)] as const);
      try {
        const { lost, won } = await settle(contenders);
        equal(won, 1, lost.join("\n"));
        match(lost.join("\n"), /^DATA_LOCKED: /m);
      } finally {
        await Promise.all(contenders.map(([, program]) => program.kill()));
      }
    }
  },
);
