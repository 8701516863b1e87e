import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/deadline.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";
import { LIMIT } from "./log-place.ts";
import { holdfast, inDirectory } from "./support.ts";

const QUICK = ["--backoff-min", "10ms", "--backoff-max", "20ms", "--within", "10m"] as const;

async function prepared(directory: string, port = 0): Promise<void> {
  const text = `version: 1\nreceivers: { meters: { type: tcp, port: ${port} } }\n`;
  await writeFile(join(directory, "holdfast.yaml"), text);
}

function supervise(directory: string, ...options: readonly string[]): RunningProgram {
  const args = [programPath, "supervise", ...QUICK, ...options, "--", "run", "--log-level", "warn"];
  return new RunningProgram({ arguments: args, directory });
}

/** The process that works on the data directory: the child. */
async function childPid(directory: string): Promise<number> {
  const text = await readFile(join(directory, "data", "LOCK"), "utf8");
  const pid = Number(/^pid (\d+)$/m.exec(text)?.[1]);
  ok(pid > 1, text);
  return pid;
}

/** Whether there is such a process: a zombie counts. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Of an orphan, whose zombie is the system's first process to bury. */
function isAtWork(pid: number): boolean {
  return isThere(pid) && !/^\d+ \(.*\) Z/.test(statOf(pid));
}

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return "";
  }
}

async function occupied(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  ok(typeof address === "object" && address !== null);
  return { server, port: address.port };
}

const LISTENS = /^meters tcp 127\.0\.0\.1:\d+/;

test("supervise: a killed child is started again, and SIGTERM stops it in order", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    const running = supervise(directory);
    await running.line(LISTENS);
    const first = await childPid(directory);
    const again = running.nextLine(LISTENS);
    process.kill(first, "SIGKILL");
    await again;
    match(
      running.output,
      /^supervise: run was ended by SIGKILL after .*; restart 1 of 10 within 10m/m,
    );
    equal(isThere(first), false);
    const second = await childPid(directory);
    deepEqual(await running.stop(LIMIT.timeout), { code: 0, signal: null });
    match(running.output, /\nstopping: receivers closed, log at offset 0\./);
    equal(isThere(second), false);
  }),
);

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`supervise: ${signal} ends it with the child's code, and no one is left`, LIMIT, () =>
    inDirectory(async (directory) => {
      await prepared(directory);
      const running = supervise(directory);
      await running.line(LISTENS);
      const child = await childPid(directory);
      running.signal(signal);
      deepEqual(await running.exited, { code: 0, signal: null });
      equal(isThere(child), false);
    }),
  );
}

test(
  "supervise: SIGUSR2 is passed on; the child dies of it, which is told as 128 and its number",
  LIMIT,
  () =>
    inDirectory(async (directory) => {
      await prepared(directory);
      // It is no stop: one restart, and the second signal uses the window up.
      const running = supervise(directory, "--attempts", "1");
      await running.line(LISTENS);
      const again = running.nextLine(LISTENS);
      running.signal("SIGUSR2");
      await again;
      running.signal("SIGUSR2");
      const code = 128 + constants.signals.SIGUSR2;
      deepEqual(await running.exited, { code, signal: null });
    }),
);

test("supervise: killed itself, it leaves no one behind: the child stops in order", LIMIT, () =>
  inDirectory(async (directory) => {
    await prepared(directory);
    const running = supervise(directory);
    await running.line(LISTENS);
    const child = await childPid(directory);
    // Resolves when the outputs are closed, which the child holds too.
    deepEqual(await running.kill(), { code: null, signal: "SIGKILL" });
    match(running.output, /\nthe supervisor is gone, stopping\n/);
    match(running.output, /\nstopping: receivers closed, log at offset 0\./);
    await eventually("the child is gone", () => !isAtWork(child), {
      everyMs: 20,
      deadlineMs: LIMIT.timeout,
    });
    equal((await holdfast(["log", "verify"], { directory })).code, 0);
  }),
);

test("supervise: what no restart mends ends it at once with the same code", LIMIT, () =>
  inDirectory(async (directory) => {
    const missing = await holdfast(["supervise", "--", "run"], { directory });
    deepEqual([missing.code, missing.stdout], [78, ""]);
    match(
      missing.stderr,
      /^CONFIG_NOT_FOUND: .*\n {4}fix: .*\nsupervise: run ended with code 78 after \d+\.\ds, which no restart mends\n$/,
    );
    const usage = await holdfast(["supervise", "--", "run", "--log-levle", "info"], { directory });
    equal(usage.code, 64);
    match(usage.stderr, /^USAGE: .*--log-levle[\s\S]*ended with code 64/);
  }),
);

test("supervise: a used up window ends it with the child's last code", LIMIT, () =>
  inDirectory(async (directory) => {
    const { server, port } = await occupied();
    await prepared(directory, port);
    const { code, stderr } = await holdfast(
      ["supervise", ...QUICK, "--attempts", "2", "--", "run"],
      { directory },
    );
    server.close();
    equal(code, 69);
    equal(stderr.match(/^PORT_IN_USE: /gm)?.length, 3);
    match(stderr, /code 69 after .*; restart 1 of 2 within 10m, in 0\.0s\n/);
    match(stderr, /code 69 after .*; 2 restarts within 10m are used up\n$/);
  }),
);

test("supervise: a port that becomes free is taken", LIMIT, () =>
  inDirectory(async (directory) => {
    const { server, port } = await occupied();
    await prepared(directory, port);
    const running = supervise(directory, "--attempts", "unlimited");
    await running.line(/^supervise: run ended with code 69 after .*; restart 1 within 10m/);
    server.close();
    await running.line(LISTENS);
    deepEqual(await running.stop(LIMIT.timeout), { code: 0, signal: null });
  }),
);

test("supervise: help behind -- is that of run", async () => {
  const { code, stdout } = await holdfast(["supervise", "--", "run", "--help"]);
  equal(code, 0);
  match(stdout, /^usage: holdfast run /);
});

for (const [args, said, fix] of [
  [[], "holdfast supervise runs `run`, it got nothing", "holdfast supervise -- run"],
  [["--", "rum"], 'holdfast supervise runs `run`, it got "rum"', "holdfast supervise -- run"],
  [
    ["--attempts", "0", "--", "run"],
    '--attempts is "0", allowed are 1 to 1000, and unlimited',
    "--attempts 10",
  ],
  [
    ["--within", "soon", "--", "run"],
    '--within is "soon", allowed are durations from 1s to 365d',
    "--within 1h",
  ],
  [
    ["--backoff-max", "2d", "--", "run"],
    '--backoff-max is "2d", allowed are durations from 0ms to 1d',
    "--backoff-max 1m",
  ],
  [
    ["--backoff-min", "2m", "--", "run"],
    "--backoff-min is 2m, --backoff-max is 1m: the first may not exceed the second",
    "--backoff-max 2m",
  ],
  [
    ["--attempts", "5", "--within", "10s", "--", "run"],
    "--attempts 5 are never used up in --within 10s: their backoff takes 16s at least",
    "--attempts unlimited, or a longer --within",
  ],
  [["--atempts", "5"], "holdfast supervise has no option --atempts", 'did you mean "--attempts"?'],
] as const) {
  test(`supervise ${args.join(" ")}: wrong usage`, async () => {
    deepEqual(await holdfast(["supervise", ...args]), {
      code: 64,
      stdout: "",
      stderr: `USAGE: ${said}\n    fix: ${fix}\n`,
    });
  });
}
