import { deepEqual, equal, match, ok } from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realInitSystem } from "../../src/host/real-init-system.ts";
import { missingForNotify, NotifySocket } from "../support/notify-socket.ts";

const LIMIT = { timeout: 60_000, skip: missingForNotify() ?? false };

/** Tells a socket of that name two messages and looks at what came. */
async function tellBoth(name: string): Promise<void> {
  const socket = new NotifySocket(name);
  try {
    await socket.bound();
    const initSystem = realInitSystem({ NOTIFY_SOCKET: name });
    ok(initSystem !== undefined);
    await initSystem.tell(["READY=1", "STATUS=not ready: a, b"]);
    await initSystem.tell(["WATCHDOG=1"]);
    await socket.message("WATCHDOG");
    deepEqual(socket.messages, ["READY=1\nSTATUS=not ready: a, b", "WATCHDOG=1"]);
  } finally {
    await socket.close();
  }
}

test("init system: messages arrive in order at a socket with a path", LIMIT, async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-notify-"));
  try {
    await tellBoth(join(directory, "notify"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("init system: and at an abstract one, whose name begins with @", LIMIT, async () => {
  await tellBoth(`@holdfast-notify-${randomUUID()}`);
});

test("init system: a socket that nobody reads is told as such", LIMIT, async () => {
  const initSystem = realInitSystem({ NOTIFY_SOCKET: `@holdfast-nobody-${randomUUID()}` });
  const error = await initSystem?.tell(["READY=1"]).catch((cause: unknown) => cause);
  ok(error instanceof Error && "code" in error);
  equal(error.code, "PLATFORM_UNSUPPORTED");
  match(error.message, /^cannot tell the init system: `systemd-notify` ended with 1$/);
});

test("init system: without its command it says what is missing", async () => {
  const { PATH: path = "" } = process.env;
  process.env["PATH"] = "/nowhere";
  try {
    const error = await realInitSystem({ NOTIFY_SOCKET: "@x" })
      ?.tell(["READY=1"])
      .catch((cause: unknown) => cause);
    ok(error instanceof Error);
    match(error.message, /there is no `systemd-notify` command$/);
  } finally {
    process.env["PATH"] = path;
  }
});

for (const [title, environment, watchdogMs] of [
  ["none is asked for", {}, undefined],
  ["for every process", { WATCHDOG_USEC: "60000000" }, 60_000],
  ["for this process", { WATCHDOG_USEC: "1500", WATCHDOG_PID: "7" }, 1.5],
  ["for another process", { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "8" }, undefined],
  ["zero is none", { WATCHDOG_USEC: "0" }, undefined],
  ["rubbish is none", { WATCHDOG_USEC: "soon" }, undefined],
] as const) {
  test(`init system: signs of life: ${title}`, () => {
    const initSystem = realInitSystem({ NOTIFY_SOCKET: "@x", ...environment }, 7);
    equal(initSystem?.watchdogMs, watchdogMs);
  });
}

test("init system: without a socket there is none", () => {
  equal(realInitSystem({ WATCHDOG_USEC: "60000000" }), undefined);
  equal(realInitSystem({ NOTIFY_SOCKET: "" }), undefined);
});
