import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { programPath } from "../support/running-program.ts";
import { holdfast, inDirectory } from "./support.ts";
import { filledLog, flipBit, LIMIT } from "./log-place.ts";

/** Lines of output as values. */
function lines(text: string): readonly unknown[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line): unknown => JSON.parse(line));
}

/** Offsets of exported records. */
function offsetsIn(text: string): readonly unknown[] {
  return lines(text).map((line) =>
    typeof line === "object" && line !== null && "offset" in line ? line.offset : line,
  );
}

const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

test("log inspect: segments, entries, sizes and the ranges of each receiver", LIMIT, () =>
  inDirectory(async (directory) => {
    await filledLog(directory, { recordCount: 4 });
    const { code, stdout, stderr } = await holdfast(["log", "inspect", "-d", "data"], {
      directory,
    });
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /^log: 4 records, offsets 0 to 4, 1 segment of \d+[KM]iB/);
    match(stdout, /^ {2}SEGMENT +OFFSETS +ENTRIES +RECORDS +SIZE +STATE$/m);
    match(stdout, /^ {2}seg-0{16}-\d{8}\.hfw +0 to 4 +\d+ +4 +\d+[KM]iB +closed$/m);
    match(stdout, /^ {2}meters +- +2 +\d+ +0 to 3$/m);
    match(stdout, /^ {2}gates +south +2 +\d+ +1 to 4$/m);
  }),
);

test("log export: a line for each record with everything that was stored", LIMIT, () =>
  inDirectory(async (directory) => {
    await filledLog(directory, { recordCount: 4 });
    const { code, stdout, stderr } = await holdfast(["log", "export", "-d", "data"], { directory });
    deepEqual([code, stderr], [0, ""]);
    const [plain, rich, binary] = lines(stdout);
    ok(typeof plain === "object" && plain !== null && "receivedAt" in plain);
    match(String(plain.receivedAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const { receivedAt } = plain;
    deepEqual(plain, { offset: 0, receiver: "meters", channel: "", receivedAt, value: '{"n":0}' });
    deepEqual(
      { ...(typeof rich === "object" ? rich : {}), receivedAt: "" },
      {
        offset: 1,
        receiver: "gates",
        channel: "south",
        receivedAt: "",
        key: "k1",
        timestampMs: 1_764_000_000_000,
        headers: { site: "süd" },
        value: '{"n":1}',
      },
    );
    deepEqual(
      { ...(typeof binary === "object" ? binary : {}), receivedAt: "" },
      { offset: 2, receiver: "meters", channel: "", receivedAt: "", valueBase64: "/wAC" },
    );
  }),
);

test("log export: by range, time and receiver", LIMIT, () =>
  inDirectory(async (directory) => {
    await filledLog(directory, { recordCount: 10 });
    const cases: readonly (readonly [args: readonly string[], offsets: readonly number[]])[] = [
      [["--from", "7"], range(7, 10)],
      [["--to", "3"], range(0, 3)],
      [
        ["--from", "2", "--to", "4"],
        [2, 3],
      ],
      [["--from", "10"], []],
      [["--from", "1,000"], []],
      [
        ["--receiver", "gates"],
        [1, 3, 5, 7, 9],
      ],
      [["--receiver", "nobody"], []],
      [["--since", "1h"], range(0, 10)],
      [["--since", "2100-01-01"], []],
      [["--until", "2020-01-01T00:00:00Z"], []],
      [["--since", "2020-01-01", "--until", "2100-01-01 00:00"], range(0, 10)],
    ];
    for (const [args, offsets] of cases) {
      const ended = await holdfast(["log", "export", "-d", "data", ...args], { directory });
      deepEqual(
        [ended.code, ended.stderr, offsetsIn(ended.stdout)],
        [0, "", offsets],
        args.join(" "),
      );
    }
  }),
);

const WRONG: readonly (readonly [args: readonly string[], shown: RegExp])[] = [
  [
    ["exprot"],
    /log takes inspect, verify, .* or adopt, it got exprot\n {4}fix: did you mean "export"/,
  ],
  [["export", "--from", "-1"], /--from is "-1", allowed are offsets/],
  [["export", "--to", "1.5"], /--to is "1\.5", allowed are offsets/],
  [["export", "--from", "9007199254740993"], /--from is "9007199254740993"/],
  [["export", "--from", "5", "--to", "4"], /--from is 5, behind --to, which is 4/],
  [["export", "--since", "yesterday"], /--since is "yesterday", allowed are times/],
  [["export", "--since", "2026-13-01"], /--since is "2026-13-01"/],
  [["export", "--since", "5m", "--until", "1h"], /--since is 5m, later than --until/],
  [["inspect", "--from", "1"], /log inspect takes no --from, that is an option of export/],
  [["verify", "--receiver", "m"], /log verify takes no --receiver, that is an option of export/],
];

for (const [args, shown] of WRONG) {
  test(`log: ${args.join(" ")} is wrong usage`, LIMIT, () =>
    inDirectory(async (directory) => {
      const { code, stdout, stderr } = await holdfast(["log", ...args, "-d", "."], { directory });
      deepEqual([code, stdout], [64, ""]);
      match(stderr, /^USAGE: /);
      match(stderr, shown);
    }),
  );
}

test(
  "log export, verify: a damaged range is a gap on both outputs, and the exit code says so",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      await filledLog(directory, { recordCount: 6 });
      await flipBit(directory, 3);
      const exported = await holdfast(["log", "export", "-d", "data"], { directory });
      equal(exported.code, 65);
      deepEqual(offsetsIn(exported.stdout), [
        ...range(0, 3),
        { gap: { from: 3, to: 4, reason: "damaged" } },
        ...range(4, 6),
      ]);
      equal(exported.stderr, "gap: offsets 3 to 4, 1 record: damaged\n");
      const verified = await holdfast(["log", "verify", "-d", "data"], { directory });
      equal(verified.code, 65);
      match(
        verified.stderr,
        /^LOG_DAMAGED: log\/seg-.*, bytes \d+ to \d+, offsets 3 to 4: damaged-records/,
      );
      match(verified.stdout, /^log: damaged, 1 record lost; 5 records read$/m);
      const before = await holdfast(["log", "export", "-d", "data", "--to", "3"], { directory });
      deepEqual([before.code, before.stderr], [0, ""]);
    }),
);

test("log export: a directory without a log has nothing to export", LIMIT, () =>
  inDirectory(async (directory) => {
    deepEqual(await holdfast(["log", "export", "-d", "."], { directory }), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    await writeFile(join(directory, "other"), "");
    deepEqual(await readdir(directory), ["other"]);
  }),
);

test("log export: whoever stops reading ends it quietly", LIMIT, () =>
  inDirectory(async (directory) => {
    await filledLog(directory, { recordCount: 20_000, blockRecords: 1_000 });
    const child = spawn(process.execPath, [programPath, "log", "export", "-d", "data"], {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    // The pipe is full long before the log has ended: it waits until someone reads, and nobody will.
    await new Promise((resolve) => child.stdout.once("readable", resolve));
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.once("close", resolve));
    deepEqual([code, stderr], [0, ""]);
  }),
);

test("log export: nothing is written, and no lock is taken", LIMIT, () =>
  inDirectory(async (directory) => {
    await filledLog(directory, { recordCount: 3 });
    const before = await contents(directory);
    for (const tool of ["inspect", "verify", "export"])
      equal((await holdfast(["log", tool, "-d", "data"], { directory })).code, 0);
    deepEqual(await contents(directory), before);
  }),
);

async function contents(directory: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(paths.map((path) => readFile(path, "latin1")));
  return new Map(paths.map((path, index) => [path, texts[index] ?? ""]));
}
