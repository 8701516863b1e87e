import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { programPath, RunningProgram } from "../support/running-program.ts";
import { holdfast, inDirectory } from "./support.ts";

const LIMIT = { timeout: 60_000 };

const config = (port: number | string): string => `version: 1
receivers: { meters: { type: tcp, port: ${port}, acknowledge: count-line } }
sinks: { files: { type: json-lines, directory: ./out } }
pipelines: { readings: { from: meters, decode: json, steps: [ { map: ./steps.mjs#number } ], sinks: files } }
`;
const steps = "export const number = (row, origin) => ({ ...row, offset: origin.offset });\n";

/** The program in a directory, with this configuration. */
function start(directory: string): RunningProgram {
  return new RunningProgram({ arguments: [programPath, "run"], directory });
}

async function portOf(running: RunningProgram): Promise<number> {
  const line = await running.line(/^meters tcp 127\.0\.0\.1:\d+/);
  return Number(/:(\d+)/.exec(line)?.[1]);
}

/** Sends text, stops the program, and checks that it ended well. */
async function sendAndStop(running: RunningProgram, text: string): Promise<string> {
  const answer = await send(await portOf(running), text);
  deepEqual(await running.stop(LIMIT.timeout), { code: 0, signal: null });
  return answer;
}

/** Sends lines, closes its side, and resolves with everything it was answered. */
function send(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.end(text));
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.once("error", reject).once("close", () => resolve(answer));
  });
}

async function prepared(directory: string, port: number | string = 0): Promise<void> {
  await writeFile(join(directory, "holdfast.yaml"), config(port));
  await writeFile(join(directory, "steps.mjs"), steps);
}

async function finishedRows(directory: string): Promise<readonly unknown[]> {
  const names = (await readdir(join(directory, "out")))
    .filter((name) => name.endsWith(".jsonl") && !name.startsWith("."))
    .toSorted();
  const parts = await Promise.all(
    names.map((name) => readFile(join(directory, "out", name), "utf8")),
  );
  return parts
    .join("")
    .split("\n")
    .filter((line) => line !== "")
    .map((line): unknown => JSON.parse(line));
}

test(
  "run: says where things are, acknowledges, and stops cleanly with everything flushed",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      await prepared(directory);
      const running = start(directory);
      const port = await portOf(running);
      await running.line(/nc -N/);
      match(
        running.output,
        new RegExp(`^holdfast \\d+\\.\\d+\\.\\d+ \\| data ${directory}/data$`, "m"),
      );
      match(
        running.output,
        new RegExp(`^readings -> files exactly-once \\(.*\\) ${directory}/out$`, "m"),
      );
      match(running.output, new RegExp(`^try it: node -e '.*${port}.*'$`, "m"));
      match(await sendAndStop(running, '{"id":1}\n{"id":2}\n'), /^(1\n)?2\n$/);
      match(
        running.output,
        /\nstopping: receivers closed, batch \d+ committed, 1 part finished, log at offset 2\. Nothing is left to replay\.$/,
      );
      equal(running.output.includes("    at "), false);
      deepEqual(await finishedRows(directory), [
        { id: 1, offset: 0 },
        { id: 2, offset: 1 },
      ]);
    }),
);

test("run: goes on where it stopped", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    for (const id of [1, 2, 3]) equal(await sendAndStop(start(directory), `{"id":${id}}\n`), "1\n");
    deepEqual(
      await finishedRows(directory),
      [1, 2, 3].map((id) => ({ id, offset: id - 1 })),
    );
  }),
);

test("run: the one-liner that needs only Node works", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    const running = start(directory);
    const line = (await running.line(/^try it: /)).slice("try it: ".length);
    const child = spawn("sh", ["-c", line], { stdio: ["ignore", "pipe", "inherit"] });
    let answer = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    equal(await new Promise((resolve) => child.once("close", resolve)), 0);
    equal(answer, "1\n");
    await running.stop(LIMIT.timeout);
    deepEqual(await finishedRows(directory), [{ device: "a", temperature: 21.5, offset: 0 }]);
  }),
);

test("run: a second instance on the same directory is refused", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    const running = start(directory);
    await portOf(running);
    const second = await holdfast(["run"], { directory });
    deepEqual([second.code, second.stdout], [69, ""]);
    match(second.stderr, /^DATA_LOCKED: .*data is in use by process \d+/);
    const forget = await holdfast(["pipelines", "forget", "readings"], { directory });
    equal(forget.code, 69);
    match(forget.stderr, /^DATA_LOCKED: /);
    equal((await running.stop(LIMIT.timeout)).code, 0);
  }),
);

test("run: a taken port is one message", LIMIT, () =>
  inDirectory(async (directory) => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    ok(typeof address === "object" && address !== null);
    await prepared(directory, address.port);
    const { code, stdout, stderr } = await holdfast(["run"], { directory });
    server.close();
    deepEqual([code, stdout], [69, ""]);
    match(
      stderr,
      new RegExp(`^PORT_IN_USE: .*127\\.0\\.0\\.1:${address.port} is taken\n {4}fix: .*\n$`),
    );
    equal(stderr.includes("    at "), false);
  }),
);

test("run: a directory that cannot be made is one message", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    await writeFile(join(directory, "data"), "a file");
    const { code, stderr } = await holdfast(["run"], { directory });
    equal(code, 78);
    match(stderr, /^DIRECTORY_UNWRITABLE: .*\/data is no directory: EEXIST\n {4}fix: .*\n$/);
  }),
);

test("run: a broken file is one message, and nothing is made", LIMIT, () =>
  inDirectory(async (directory) => {
    await writeFile(
      join(directory, "holdfast.yaml"),
      "version: 1\nreceivers: { m: { type: tcp, prot: 1 } }\n",
    );
    const { code, stderr } = await holdfast(["run"], { directory });
    equal(code, 78);
    match(stderr, /did you mean "port"/);
    deepEqual(await readdir(directory), ["holdfast.yaml"]);
  }),
);

test("pipelines: list and forget what the ledger knows", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    await sendAndStop(start(directory), '{"id":1}\n');
    match(
      (await holdfast(["pipelines", "list"], { directory })).stdout,
      /^PIPELINE +BATCH +OFFSET +STATE\nreadings +1 +1 +committed\n$/,
    );
    const typo = await holdfast(["pipelines", "forget", "reading"], { directory });
    equal(typo.code, 1);
    match(typo.stderr, /PIPELINE_UNKNOWN: .*it knows readings\n {4}fix: did you mean "readings"\?/);
    match(
      (await holdfast(["pipelines", "forget", "readings"], { directory })).stdout,
      /^forgot readings/,
    );
    match(
      (await holdfast(["pipelines", "list", "--data", "data"], { directory })).stdout,
      /^no pipelines in /,
    );
  }),
);

test("pipelines, log, dead-letters: a directory that is not there is not made", LIMIT, () =>
  inDirectory(async (directory) => {
    for (const args of [
      ["pipelines", "list"],
      ["pipelines", "forget", "x"],
      ["log", "inspect"],
      ["log", "verify"],
      ["log", "adopt"],
      ["dead-letters", "list"],
    ]) {
      const { code, stderr } = await holdfast([...args, "--data", "nowhere"], { directory });
      equal(code, 78, args.join(" "));
      match(stderr, /^DIRECTORY_UNWRITABLE: there is no data directory \/.*\/nowhere/);
    }
    deepEqual(await readdir(directory), []);
  }),
);

test("dead letters: what was set aside is listed, newest first", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    await sendAndStop(start(directory), 'no json\n{"id":1}\n{broken\n');
    const { code, stdout } = await holdfast(["dead-letters", "list", "--pipeline", "readings"], {
      directory,
    });
    equal(code, 0);
    const [head, ...rows] = stdout.trimEnd().split("\n");
    match(head ?? "", /^OFFSET +UNIT +STAGE +CODE +MESSAGE +BODY$/);
    deepEqual(
      rows.map((row) => row.split(/ {2,}/).slice(0, 4)),
      [
        ["2", "readings", "decode", "DECODE_FAILED"],
        ["0", "readings", "decode", "DECODE_FAILED"],
      ],
    );
    equal(
      (await holdfast(["dead-letters", "list", "--limit", "1"], { directory })).stdout
        .trimEnd()
        .split("\n").length,
      2,
    );
    match(
      (await holdfast(["dead-letters", "list", "other"], { directory })).stdout,
      /^no dead letters of other/,
    );
  }),
);

test("log: inspect and verify, also while it is written", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    const running = start(directory);
    await send(await portOf(running), '{"id":1}\n');
    match((await holdfast(["log", "inspect"], { directory })).stdout, /segment/i);
    await running.stop(LIMIT.timeout);
    const verified = await holdfast(["log", "verify"], { directory });
    deepEqual([verified.code, verified.stderr], [0, ""]);
  }),
);
