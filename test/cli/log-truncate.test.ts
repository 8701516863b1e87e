import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { createIngest, from, type Ingest, json, pipeline } from "../../src/index.ts";
import { HoldfastError } from "../../src/errors.ts";
import { silentLogger } from "../support/logger.ts";
import { PushReceiver } from "../support/push-receiver.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";
import { RecordingSink } from "../support/sinks.ts";
import { filledLog, flipBit, LIMIT, megabyte } from "./log-place.ts";
import { type Ended, holdfast, inDirectory } from "./support.ts";

const MIB = 1024 * 1024;
const LOG = { bytesMax: 128 * MIB, segmentBytes: 4 * MIB };

/** An instance whose pipeline takes batches only when it is let. */
class Instance {
  readonly receiver = new PushReceiver("meters");
  readonly sink = new RecordingSink("out");
  readonly gaps: unknown[] = [];
  readonly #ingest: Ingest;
  #until = (): void => undefined;
  #rows = 0;
  #isParked = false;

  constructor(directory: string) {
    const output = from(this.receiver).decode(json()).writeTo(this.sink);
    this.#ingest = createIngest({
      directory: join(directory, "data"),
      receivers: [this.receiver],
      pipelines: [pipeline("rows", { outputs: [output] })],
      log: LOG,
      logger: silentLogger,
      listeners: [
        {
          onLogGap: ({ from: start, to, reason }) => void this.gaps.push([start, to, reason]),
          onUnitParked: () => {
            this.#isParked = true;
            this.#until();
          },
          onBatchCompleted: ({ recordCount }) => {
            this.#rows += recordCount;
            this.#until();
          },
        },
      ],
    });
  }

  async start(): Promise<Ingest> {
    await this.#ingest.start();
    return this.#ingest;
  }

  /** Stores records of 1 MiB each: four fill a segment. */
  async store(count: number): Promise<void> {
    for (let index = 0; index < count; index += 1)
      await this.receiver.context.store({ value: megabyte(index) });
  }

  /** Resolves when the pipeline is set aside. */
  async parked(): Promise<void> {
    while (!this.#isParked) await new Promise<void>((resolve) => (this.#until = resolve));
  }

  async processed(count: number): Promise<void> {
    while (this.#rows < count) await new Promise<void>((resolve) => (this.#until = resolve));
  }
}

function truncate(directory: string, ...args: readonly string[]): Promise<Ended> {
  return holdfast(["log", "truncate", "-d", "data", ...args], { directory });
}

async function segmentNames(directory: string): Promise<readonly string[]> {
  const names = await readdir(join(directory, "data", "log"));
  return names.filter((name) => name.startsWith("seg-"));
}

/** Asks over the socket by hand. */
async function raw(path: string, text: string): Promise<string> {
  const socket = connect({ path });
  let answer = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    answer += chunk;
  });
  socket.write(text);
  await once(socket, "end");
  socket.end();
  return answer;
}

test("log truncate: a running instance is asked, and goes on", LIMIT, () =>
  inDirectory(async (directory) => {
    const instance = new Instance(directory);
    const ingest = await instance.start();
    await instance.store(14);
    await instance.processed(14);
    const { code, stdout, stderr } = await truncate(directory, "--before", "9");
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /^truncate before 9: .*; the log begins at offset \d+\n$/);
    await instance.store(1);
    await instance.processed(15);
    await ingest.stop();
    deepEqual(instance.gaps, []);
    equal((await holdfast(["log", "verify", "-d", "data"], { directory })).code, 0);
  }),
);

test(
  "log truncate: what a pipeline needs is refused with both numbers, and dropped by force",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      const instance = new Instance(directory);
      const stuck = new HoldfastError("SINK_CONFLICT", "someone else has written");
      instance.sink.answers.push(stuck);
      const ingest = await instance.start();
      await instance.store(14);
      await instance.parked();
      const before = await segmentNames(directory);
      const refused = await truncate(directory, "--before", "12");
      deepEqual([refused.code, refused.stdout, await segmentNames(directory)], [1, "", before]);
      match(
        refused.stderr,
        /^LOG_NEEDED: truncate before 12: pipeline rows stands at 0 and needs what follows; records that would be lost at most: rows 12\n {4}fix: --before 0, or --force/,
      );
      const forced = await truncate(directory, "--before", "12", "--force");
      const begin = ingest.snapshot().log.oldestOffset;
      ok(begin > 0 && begin <= 12);
      match(forced.stdout, new RegExp(`the log begins at offset ${begin}\n$`));
      equal(forced.stderr, `gap: pipeline rows lost ${begin} records: dropped\n`);
      deepEqual(instance.gaps, [[0, begin, "dropped"]]);
      equal(ingest.snapshot().log.gapRecords, begin);
      await ingest.stop();
    }),
);

test(
  "log truncate: without an instance it is done under the lock, by offset and by time",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      await filledLog(directory, { recordCount: 14, isLarge: true, more: { log: LOG } });
      const before = await segmentNames(directory);
      const byTime = await truncate(directory, "--before", "2020-01-01");
      deepEqual([byTime.code, await segmentNames(directory)], [0, before]);
      match(byTime.stdout, /^truncate before 0: nothing to free/);
      const { code, stdout, stderr } = await truncate(directory, "--before", "9");
      deepEqual([code, stderr], [0, ""]);
      const begin = Number(/begins at offset (\d+)/.exec(stdout)?.[1]);
      ok(begin > 0 && begin <= 9);
      ok((await segmentNames(directory)).length < before.length);
      const all = await truncate(directory, "--before", "2100-01-01");
      match(all.stdout, /^truncate before 14: freed \d segments? of \d+MiB/);
      equal((await segmentNames(directory)).length, 1);
      deepEqual((await truncate(directory, "--before", "14")).code, 0);
      const exported = await holdfast(["log", "export", "-d", "data", "--from", "0"], {
        directory,
      });
      equal(exported.code, 65);
      match(exported.stderr, /^gap: offsets 0 to \d+, \d+ records: dropped\n$/);
      equal((await holdfast(["log", "verify", "-d", "data"], { directory })).code, 0);
    }),
);

test("log truncate: a pipeline that is not running is asked about as well", LIMIT, () =>
  inDirectory(async (directory) => {
    const instance = new Instance(directory);
    const ingest = await instance.start();
    await instance.store(2);
    await instance.processed(2);
    await ingest.stop();
    await filledLog(directory, { recordCount: 10, isLarge: true, more: { log: LOG } });
    const refused = await truncate(directory, "--before", "11");
    equal(refused.code, 1);
    match(
      refused.stderr,
      /^LOG_NEEDED: truncate before 11: pipeline rows stands at 2 .*: rows 9\n/,
    );
    const forced = await truncate(directory, "--before", "11", "--force");
    equal(forced.code, 0);
    match(forced.stderr, /^gap: pipeline rows lost \d records?: dropped\n$/);
    const second = new Instance(directory);
    const again = await second.start();
    await second.store(1);
    await second.processed(1);
    await again.stop();
  }),
);

for (const args of [[], ["--before", "soon"], ["--before", "-1"], ["--before=2020"]]) {
  test(`log truncate ${args.join(" ")}: wrong usage, or an offset`, LIMIT, () =>
    inDirectory(async (directory) => {
      await mkdir(join(directory, "data"));
      const { code, stdout, stderr } = await truncate(directory, ...args);
      if (args[0] === "--before=2020") {
        deepEqual([code, stderr], [0, ""]);
        match(stdout, /^there is no log in /);
        return;
      }
      deepEqual([code, stdout], [64, ""]);
      match(stderr, /^USAGE: --before (is|needs)/);
    }),
  );
}

test("control socket: only this user's, and what it does not know is answered", LIMIT, () =>
  inDirectory(async (directory) => {
    const ingest = await new Instance(directory).start();
    const run = join(directory, "data", "run");
    const path = join(run, "control.sock");
    const modes = [(await stat(run)).mode & 0o777, (await stat(path)).mode & 0o777];
    deepEqual(modes, [0o700, 0o600]);
    match(await raw(path, '{"command":"fly"}\n'), /"code":"CONTROL_REQUEST".*unknown command/);
    for (const given of [{}, { before: -1 }, { before: 1, force: "yes" }, { before: 1, beside: 2 }])
      match(
        await raw(path, `${JSON.stringify({ command: "truncate", arguments: given })}\n`),
        /"ok":false.*"CONTROL_REQUEST"/,
      );
    await ingest.stop();
    await rejects(stat(path), { code: "ENOENT" });
  }),
);

test("control socket: without it the instance runs, is ready, and cannot be asked", LIMIT, () =>
  inDirectory(async (directory) => {
    await mkdir(join(directory, "data"));
    await writeFile(join(directory, "data", "run"), "in the way");
    const instance = new Instance(directory);
    const ingest = await instance.start();
    await instance.store(1);
    await instance.processed(1);
    deepEqual(ingest.health(), { kind: "ready" });
    ok(
      ingest
        .snapshot()
        .units.some(({ unit, status }) => unit === "control" && status !== "running"),
    );
    const refused = await truncate(directory, "--before", "0");
    equal(refused.code, 69);
    match(refused.stderr, /^DATA_LOCKED: /);
    await ingest.stop();
  }),
);

test(
  "control socket: in a deep directory it has a short path, which goes with the instance",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      const deep = join(directory, "d".repeat(120));
      await mkdir(deep);
      const ingest = await new Instance(deep).start();
      const path = await readFile(join(deep, "data", "run", "control.path"), "utf8");
      equal((await stat(join(path, "control.sock"))).mode & 0o777, 0o600);
      const { code, stderr } = await truncate(deep, "--before", "0");
      deepEqual([code, stderr], [0, ""]);
      await ingest.stop();
      await rejects(stat(path), { code: "ENOENT" });
      deepEqual(await readdir(join(deep, "data", "run")), []);
    }),
);

const CONFIG = `version: 1
receivers: { meters: { type: rate, perSecond: 200 } }
sinks: { files: { type: json-lines, directory: ./out } }
pipelines: { readings: { from: meters, decode: json, sinks: files } }
`;

test(
  "log tools: beside a program that writes, and over what it left when it was killed",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      await writeFile(join(directory, "holdfast.yaml"), CONFIG);
      const path = join(directory, "data", "run", "control.sock");
      for (let life = 0; life < 2; life += 1) {
        const running = new RunningProgram({ arguments: [programPath, "run"], directory });
        await running.line(/^readings -> files/);
        for (const args of [["inspect"], ["verify"], ["export"], ["truncate", "--before", "0"]]) {
          const { code, stderr } = await holdfast(["log", ...args], { directory });
          equal(code, 0, `${args.join(" ")}: ${stderr}`);
        }
        equal((await holdfast(["log", "repair"], { directory })).code, 69);
        await running.kill();
        ok((await stat(path)).isSocket());
        const after = await holdfast(["log", "truncate", "--before", "0"], { directory });
        deepEqual([after.code, after.stderr], [0, ""]);
        equal((await holdfast(["log", "verify"], { directory })).code, 0);
        const repaired = await holdfast(["log", "repair"], { directory });
        equal(repaired.code, 0);
        match(
          repaired.stdout,
          /^log: nothing to repair\n.*nothing to repair\nledger: nothing to repair\n$/s,
        );
      }
    }),
);

test(
  "log repair: damage is set aside, verify is content, and a second run finds nothing",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      await filledLog(directory, { recordCount: 6 });
      await flipBit(directory, 3);
      equal((await holdfast(["log", "verify", "-d", "data"], { directory })).code, 65);
      const first = await holdfast(["log", "repair", "-d", "data"], { directory });
      deepEqual([first.code, first.stderr], [0, ""]);
      match(
        first.stdout,
        /^log: 1 damaged range set aside, 1 record lost; everything else is as it was$/m,
      );
      match(
        first.stdout,
        /^ {2}offsets 3 to 4 lost \(damaged\), recorded as a gap, bytes \d+ to \d+ of seg-/m,
      );
      const copy = /copied to (.*\.bin)$/m.exec(first.stdout)?.[1] ?? "";
      equal((await stat(copy)).size, 4096);
      const second = await holdfast(["log", "repair", "-d", "data"], { directory });
      match(second.stdout, /^log: nothing to repair$/m);
      const verified = await holdfast(["log", "verify", "-d", "data"], { directory });
      equal(verified.code, 0);
      match(verified.stderr, /^known gap: log\/seg-.*offsets 3 to 4/);
      match(verified.stdout, /^log: whole but for 1 known gap; 5 records read$/m);
      const exported = await holdfast(["log", "export", "-d", "data"], { directory });
      deepEqual([exported.code, exported.stdout.split("\n").length - 1], [65, 6]);
    }),
);
