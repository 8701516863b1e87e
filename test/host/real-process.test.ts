import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";

import {
  humanTime,
  lockFileOn,
  lockText,
  machineIdFrom,
  parseLockText,
  realProcess,
} from "../../src/host/real-process.ts";
import { eventually } from "../support/deadline.ts";

const linux = { skip: process.platform !== "linux" } as const;

function lockPath(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-lock-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "LOCK");
}

/** A process that holds the lock until it is killed. */
async function holder(context: TestContext, path: string): Promise<ChildProcess> {
  const module = new URL("../../src/host/real-process.js", import.meta.url).href;
  const script = `const { realProcess } = await import(${JSON.stringify(module)});
    await realProcess.lockFile(${JSON.stringify(path)}); console.log("locked"); process.stdin.resume();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  context.after(() => child.kill("SIGKILL"));
  const [line] = await once(child.stdout, "data");
  equal(String(line).trim(), "locked");
  return child;
}

test(
  "lock: another process is refused and told who holds it, and free after SIGKILL",
  linux,
  async (context) => {
    const path = lockPath(context);
    const child = await holder(context, path);
    await rejects(realProcess.lockFile(path), (error: Error) => {
      equal("code" in error && error.code, "DATA_LOCKED");
      match(error.message, new RegExp(`in use by process ${child.pid} since \\d\\d:\\d\\d$`));
      return true;
    });
    child.kill("SIGKILL");
    await once(child, "exit");
    const lock = await realProcess.lockFile(path);
    equal(parseLockText(readFileSync(path, "utf8")).pid, String(process.pid));
    await lock.release();
  },
);

test(
  "lock: a second one in the same process is refused until the first is released",
  linux,
  async (context) => {
    const path = lockPath(context);
    const first = await realProcess.lockFile(path);
    await rejects(realProcess.lockFile(path), { code: "DATA_LOCKED", message: /\(this one\)/ });
    await first.release();
    await first.release();
    await (await realProcess.lockFile(path)).release();
  },
);

test(
  "lock: a child that was started while it was held does not keep it",
  linux,
  async (context) => {
    const path = lockPath(context);
    const lock = await realProcess.lockFile(path);
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    context.after(() => child.kill("SIGKILL"));
    await lock.release();
    await (await realProcess.lockFile(path)).release();
    equal(child.exitCode, null);
  },
);

test(
  "lock: opening and closing the file elsewhere in the process does not free it",
  linux,
  async (context) => {
    const path = lockPath(context);
    const lock = await realProcess.lockFile(path);
    readFileSync(path);
    await rejects(realProcess.lockFile(path), { code: "DATA_LOCKED" });
    await lock.release();
  },
);

test("lock: text left by a killed process means nothing", linux, async (context) => {
  const path = lockPath(context);
  writeFileSync(path, lockText({ pid: "1", boot: "b", since: "2020-01-01T00:00:00.000Z" }));
  await (await realProcess.lockFile(path)).release();
  equal(readFileSync(path, "utf8"), "");
});

test(
  "lock: a file that is replaced while it is being locked is not the one that is held",
  linux,
  async (context) => {
    const path = lockPath(context);
    const directory = dirname(path);
    // Stands in for somebody who removes the lock file between our open and our lock, once.
    const script = `#!/bin/sh\n[ -e "${directory}/done" ] || { rm "${path}"; : > "${path}"; : > "${directory}/done"; }\nPATH=${process.env["PATH"] ?? ""} exec flock "$@"\n`;
    writeFileSync(join(directory, "flock"), script, { mode: 0o700 });
    const before = process.env["PATH"];
    context.after(() => void (process.env["PATH"] = before));
    process.env["PATH"] = `${directory}:${before ?? ""}`;
    const lock = await realProcess.lockFile(path);
    await rejects(realProcess.lockFile(path), { code: "DATA_LOCKED" });
    await lock.release();
  },
);

test("lock: a platform without such a lock is refused", async (context) => {
  await rejects(lockFileOn("win32", lockPath(context)), {
    code: "PLATFORM_UNSUPPORTED",
    message: /win32/,
  });
});

/** `open` of macOS by its answers: `lock`, `replace` (the file goes while it is locked), or a code. */
function macosOpen(answers: readonly string[]): {
  readonly openFile: typeof fs.openSync;
  readonly flags: unknown[];
} {
  const flags: unknown[] = [];
  const waiting = [...answers];
  const openFile: typeof fs.openSync = (path, given, mode) => {
    flags.push(given);
    const answer = waiting.shift() ?? "lock";
    if (answer !== "lock" && answer !== "replace")
      throw Object.assign(new Error(answer), { code: answer });
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, mode);
    if (answer === "replace") rmSync(path);
    return fd;
  };
  return { openFile, flags };
}

test("lock: on macOS opening takes it, without another program", linux, async (context) => {
  const path = lockPath(context);
  const { flags, openFile } = macosOpen(["lock"]);
  const lock = await lockFileOn("darwin", path, openFile);
  equal(parseLockText(readFileSync(path, "utf8")).pid, String(process.pid));
  await lock.release();
  // O_RDWR, O_CREAT, O_EXLOCK 0x20, O_NONBLOCK 0x4
  deepEqual(flags, [fs.constants.O_RDWR | fs.constants.O_CREAT | 0x24]);
});

test(
  "lock: on macOS a held file is locked, one that cannot be is refused, the rest is as the system says",
  linux,
  async (context) => {
    const path = lockPath(context);
    writeFileSync(path, lockText({ pid: "4711", boot: "", since: "" }));
    const cases = [
      ["EAGAIN", "DATA_LOCKED"],
      ["EWOULDBLOCK", "DATA_LOCKED"],
      ["ENOTSUP", "PLATFORM_UNSUPPORTED"],
      ["EINVAL", "PLATFORM_UNSUPPORTED"],
      ["EACCES", "EACCES"],
    ];
    for (const [answer = "", code = ""] of cases)
      await rejects(lockFileOn("darwin", path, macosOpen([answer]).openFile), { code });
  },
);

test(
  "lock: a file that is replaced while it is locked is locked again, not for ever",
  linux,
  async (context) => {
    const path = lockPath(context);
    const twice = macosOpen(["replace", "replace", "lock"]);
    await (await lockFileOn("darwin", path, twice.openFile)).release();
    equal(twice.flags.length, 3);
    const always = macosOpen(Array<string>(9).fill("replace"));
    await rejects(lockFileOn("darwin", path, always.openFile), { code: "PLATFORM_UNSUPPORTED" });
    equal(always.flags.length, 5);
  },
);

test("lock: without the flock command the message says what to install", linux, async (context) => {
  const before = process.env["PATH"];
  context.after(() => void (process.env["PATH"] = before));
  process.env["PATH"] = "/nonexistent";
  await rejects(lockFileOn("linux", lockPath(context)), {
    code: "PLATFORM_UNSUPPORTED",
    fix: /util-linux/,
  });
});

test("lock text: garbage is nobody, a time of another day has its date", () => {
  equal(parseLockText("\0\xff garbage").pid, "");
  equal(parseLockText(lockText({ pid: "7", boot: "", since: "x" })).since, "x");
  const noon = new Date(2026, 0, 2, 12, 5);
  equal(humanTime(noon.toISOString(), noon), "12:05");
  equal(humanTime(noon.toISOString(), new Date(2026, 0, 3)), "2026-01-02 12:05");
  equal(humanTime("never", noon), "an unknown time");
});

test("machine id: the first file that has one counts, up to its end or a zero byte", (context) => {
  const path = lockPath(context);
  writeFileSync(path, "serial-9\0");
  writeFileSync(`${path}.empty`, "uninitialized\n");
  equal(machineIdFrom([`${path}.none`, `${path}.empty`, path]), "serial-9");
  equal(machineIdFrom([`${path}.none`, `${path}.empty`]), "");
});

test("process: it has resident memory and its own pid", () => {
  equal(realProcess.pid, process.pid);
  equal(realProcess.residentBytes() > 1_000_000, true);
});

test("process: signals are heard until they are no longer listened to", async () => {
  const heard: string[] = [];
  const before = process.listenerCount("SIGHUP");
  const forget = realProcess.onSignals(["SIGHUP", "SIGTERM"], (...args) => {
    heard.push(...args);
  });
  process.kill(process.pid, "SIGHUP");
  await eventually("heard", () => heard.length > 0, { everyMs: 5, deadlineMs: 30_000 });
  forget();
  deepEqual([heard, process.listenerCount("SIGHUP")], [["SIGHUP"], before]);
});
