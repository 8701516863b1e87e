import { deepEqual, equal, match } from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { missingForNotify, NotifySocket } from "../support/notify-socket.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";
import { inDirectory } from "./support.ts";

const LIMIT = { timeout: 60_000, skip: missingForNotify() ?? false };
const CONFIG = "version: 1\nreceivers: { meters: { type: tcp, port: 0 } }\n";

async function underManager(
  environment: Readonly<Record<string, string>>,
  work: (running: RunningProgram, socket: NotifySocket) => Promise<void>,
): Promise<void> {
  await inDirectory(async (directory) => {
    await writeFile(join(directory, "holdfast.yaml"), CONFIG);
    const name = `@holdfast-run-${randomUUID()}`;
    const socket = new NotifySocket(name);
    await socket.bound();
    const running = new RunningProgram({
      arguments: [programPath, "run"],
      directory,
      environment: { NOTIFY_SOCKET: name, ...environment },
    });
    try {
      await work(running, socket);
    } finally {
      await running.kill();
      await socket.close();
    }
  });
}

test("run: tells its init system that it is ready, alive, and stopping", LIMIT, () =>
  underManager({ WATCHDOG_USEC: "200000" }, async (running, socket) => {
    await socket.message("WATCHDOG=1");
    deepEqual(socket.messages[0], "READY=1\nSTATUS=ready");
    match(running.output, /^meters tcp/m);
    deepEqual(await running.stop(LIMIT.timeout), { code: 0, signal: null });
    await socket.message("STOPPING=1");
    equal(socket.messages.filter((message) => message.includes("READY=1")).length, 1);
  }),
);

test("run: without a watchdog it is ready and stops, no more", LIMIT, () =>
  underManager({ WATCHDOG_USEC: "200000", WATCHDOG_PID: "1" }, async (running, socket) => {
    await socket.message("READY=1");
    deepEqual(await running.stop(LIMIT.timeout), { code: 0, signal: null });
    await socket.message("STOPPING=1");
    deepEqual(socket.messages, ["READY=1\nSTATUS=ready", "STOPPING=1"]);
  }),
);

test("run: an init system that does not hear is complained of, and it runs on", LIMIT, () =>
  inDirectory(async (directory) => {
    await writeFile(join(directory, "holdfast.yaml"), CONFIG);
    const running = new RunningProgram({
      arguments: [programPath, "run"],
      directory,
      environment: { NOTIFY_SOCKET: `@holdfast-nobody-${randomUUID()}` },
    });
    await running.line(/^cannot tell the init system: `systemd-notify` ended with 1$/);
    deepEqual(await running.stop(LIMIT.timeout), { code: 0, signal: null });
  }),
);
