import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { LocalListener } from "../../src/host/local-sockets.ts";
import { realLocalSockets } from "../../src/host/real-local-sockets.ts";
import type { Connection } from "../../src/host/sockets.ts";

const never = new AbortController().signal;

async function temporaryDirectory(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-local-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

function unexpected(cause: Error): void {
  throw cause;
}

/** Answers everything in capitals and ends. */
function shout(connection: Connection): void {
  connection.onData((chunk) => {
    connection.write(Buffer.from(chunk).toString().toUpperCase());
    void connection.close();
  });
}

function listen(path: string): Promise<LocalListener> {
  return realLocalSockets.listen(path, shout, unexpected);
}

test("local sockets: bytes go both ways, and the path is only this user's while it is open", async (context) => {
  const path = join(await temporaryDirectory(context), "a.sock");
  const listener = await listen(path);
  equal((await stat(path)).mode & 0o777, 0o600);
  const connection = await realLocalSockets.connect(path, never);
  const heard = new Promise<string>((resolve) =>
    connection.onData((chunk) => resolve(Buffer.from(chunk).toString())),
  );
  connection.write("hello");
  equal(await heard, "HELLO");
  await connection.close();
  await listener.close();
  await listener.close();
  await rejects(stat(path), { code: "ENOENT" });
});

test("local sockets: a taken path, nobody there, and a file in the way", async (context) => {
  const directory = await temporaryDirectory(context);
  const path = join(directory, "a.sock");
  await rejects(realLocalSockets.connect(path, never), { code: "ENOENT" });
  const listener = await listen(path);
  await rejects(listen(path), { code: "EADDRINUSE" });
  await listener.close();
  await writeFile(path, "");
  await rejects(listen(path), { code: "EADDRINUSE" });
  await rejects(realLocalSockets.connect(path, never), { code: "ECONNREFUSED" });
  await rejects(realLocalSockets.connect(path, AbortSignal.abort(new Error("late"))), /late/);
});

test("local sockets: a path as long as promised can be bound", async (context) => {
  const directory = await temporaryDirectory(context);
  const name = "s".repeat(realLocalSockets.pathBytesMax - Buffer.byteLength(directory) - 1);
  const listener = await listen(join(directory, name));
  deepEqual(await readdir(directory), [name]);
  await listener.close();
});

test("local sockets: a short directory is this user's, goes with its sockets, and nothing else does", async (context) => {
  const short = await realLocalSockets.makeShortDirectory();
  equal((await stat(short)).mode & 0o777, 0o700);
  ok(Buffer.byteLength(join(short, "control.sock")) <= realLocalSockets.pathBytesMax);
  await writeFile(join(short, "control.sock"), "");
  await realLocalSockets.removeShortDirectory(short);
  await realLocalSockets.removeShortDirectory(short);
  await rejects(stat(short), { code: "ENOENT" });
  const directory = await temporaryDirectory(context);
  await mkdir(join(directory, "holdfast-control-x"));
  await writeFile(join(directory, "holdfast-control-x", "mine"), "");
  const kept = join(directory, "holdfast-control-x");
  await rejects(realLocalSockets.removeShortDirectory(kept));
  await realLocalSockets.removeShortDirectory(directory);
  deepEqual(await readdir(kept), ["mine"]);
});
