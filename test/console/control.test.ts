import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_TIMEOUT_MS,
  CONTROL_CONNECTIONS_MAX,
  type ControlCommand,
  controlUnit,
  EXCHANGE_TIMEOUT_MS,
  REQUEST_BYTES_MAX,
} from "../../src/console/control.ts";
import { askControl } from "../../src/console/control-client.ts";
import type { UnitSession } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import { deferred } from "../support/deferred.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import type { MemoryPeer } from "../support/memory-network.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { MemoryLocalSockets } from "./memory-local-sockets.ts";
import { unitContext } from "../support/unit-context.ts";

const SOCKET = "/data/run/control.sock";

const echo: ControlCommand = { name: "echo", run: async (given) => ({ given }) };

/** A unit on sockets, a disk and a clock in memory. */
class Scene {
  readonly local = new MemoryLocalSockets();
  readonly files = new SimulatedDisk();
  readonly clock = new VirtualClock();
  readonly failures: unknown[] = [];
  readonly #controller = new AbortController();

  constructor() {
    this.files.putDirectory("/data");
  }

  async open(...commands: readonly ControlCommand[]): Promise<UnitSession<never>> {
    const { local, files, clock } = this;
    const unit = controlUnit({ directory: "/data", local, files, clock, commands });
    return await unit.open({
      ...unitContext(),
      path: "control",
      epoch: 1,
      signal: this.#controller.signal,
      fail: (cause) => void this.failures.push(cause),
      alive: () => undefined,
    });
  }

  ask(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const { local, files, clock } = this;
    return askControl({ directory: "/data", local, files, clock, command, arguments: given });
  }

  connect(): MemoryPeer {
    return this.local.dial(SOCKET);
  }
}

/** The answer of a peer, once the turns it takes have passed. */
async function answerOf(peer: MemoryPeer): Promise<Record<string, unknown>> {
  while (!peer.text.endsWith("\n")) await new Promise(setImmediate);
  return JSON.parse(peer.text);
}

function refusal(message: string): object {
  return { ok: false, error: { code: "CONTROL_REQUEST", message, fix: "" } };
}

test("control: one request, one answer, and the connection ends", async () => {
  const scene = new Scene();
  await scene.open(echo);
  const peer = scene.connect();
  peer.send('{"command":"echo","argum');
  peer.send('ents":{"a":[1]}}\n{"command":"echo"}\n');
  deepEqual(await answerOf(peer), { ok: true, result: { given: { a: [1] } } });
  ok(peer.isEnded);
});

test("control: an instance that is asked answers with its result or its error", async () => {
  const scene = new Scene();
  const failing: ControlCommand = {
    name: "fail",
    run: () =>
      Promise.reject(new HoldfastError("LOG_NEEDED", "readings stands at 7", { fix: "f" })),
  };
  const breaking: ControlCommand = { name: "break", run: () => Promise.reject(new Error("oh")) };
  await scene.open(echo, failing, breaking);
  deepEqual(await scene.ask("echo", { b: "ü" }), {
    kind: "answered",
    result: { given: { b: "ü" } },
  });
  await rejects(scene.ask("fail"), {
    code: "LOG_NEEDED",
    message: "readings stands at 7",
    fix: "f",
  });
  await rejects(scene.ask("break"), { code: "INTERNAL", message: "oh" });
  await rejects(scene.ask("echo2"), {
    code: "CONTROL_REQUEST",
    message: 'unknown command "echo2", known are echo, fail, break',
  });
});

const WRONG: readonly (readonly [sent: string, message: string])[] = [
  ["\n", "the request is no JSON"],
  ["truncate\n", "the request is no JSON"],
  ["[]\n", "the request is no JSON object"],
  ["null\n", "the request is no JSON object"],
  ["{}\n", "unknown command undefined, known are echo"],
  ['{"command":"echo","arguments":[1]}\n', "echo: its arguments are no JSON object"],
  [
    "x".repeat(REQUEST_BYTES_MAX + 1),
    `a request of more than ${REQUEST_BYTES_MAX} bytes, which is the most`,
  ],
];

for (const [sent, message] of WRONG) {
  test(`control: ${JSON.stringify(sent.slice(0, 40))} is refused`, async () => {
    const scene = new Scene();
    await scene.open(echo);
    const peer = scene.connect();
    peer.send(sent);
    deepEqual(await answerOf(peer), refusal(message));
    deepEqual(scene.failures, []);
  });
}

test("control: whoever ends without a newline, or says nothing, is refused and let go", async () => {
  const scene = new Scene();
  await scene.open(echo);
  const cut = scene.connect();
  cut.send('{"command":"echo"}');
  cut.end();
  deepEqual(await answerOf(cut), refusal("the request ended without a newline"));
  const silent = scene.connect();
  await scene.clock.advance(EXCHANGE_TIMEOUT_MS);
  deepEqual(await answerOf(silent), refusal(`no request within ${EXCHANGE_TIMEOUT_MS} ms`));
  equal(silent.connection.isClosed, false);
  await scene.clock.advance(EXCHANGE_TIMEOUT_MS);
  ok(silent.connection.isClosed);
});

test("control: connections are limited, and a place is free again when one is gone", async () => {
  const scene = new Scene();
  await scene.open(echo);
  const peers = Array.from({ length: CONTROL_CONNECTIONS_MAX }, () => scene.connect());
  const more = scene.connect();
  const answer = await answerOf(more);
  match(JSON.stringify(answer), /CONTROL_UNAVAILABLE.*8 requests/);
  more.end();
  peers[0]?.reset(new Error("gone"));
  const again = scene.connect();
  again.send('{"command":"echo"}\n');
  equal((await answerOf(again))["ok"], true);
});

test("control: a command that takes too long is answered, and goes on", async () => {
  const scene = new Scene();
  const done = deferred<unknown>();
  await scene.open({ name: "slow", run: () => done.promise });
  const peer = scene.connect();
  peer.send('{"command":"slow"}\n');
  await scene.clock.advance(COMMAND_TIMEOUT_MS);
  match(JSON.stringify(await answerOf(peer)), /CONTROL_UNAVAILABLE.*it goes on/);
  done.resolve(1);
});

test("control: an instance that stops lets everyone go, and nobody is there afterwards", async () => {
  const scene = new Scene();
  const session = await scene.open({ name: "slow", run: () => new Promise(() => undefined) });
  const peer = scene.connect();
  peer.send('{"command":"slow"}\n');
  await session.close(new AbortController().signal);
  ok(peer.connection.isClosed);
  deepEqual([...scene.local.listening], []);
  deepEqual(await scene.ask("echo"), { kind: "absent" });
});

test("control: an instance that does not answer is told so", async () => {
  const scene = new Scene();
  await scene.local.listen(SOCKET, (connection) => connection.onData(() => connection.destroy()));
  await rejects(scene.ask("echo"), { code: "CONTROL_UNAVAILABLE" });
  const mute = new Scene();
  await mute.local.listen(SOCKET, () => undefined);
  const asked = rejects(mute.ask("echo"), {
    code: "CONTROL_UNAVAILABLE",
    message: /no answer within/,
  });
  while (mute.local.dialed === 0) await new Promise(setImmediate);
  await mute.clock.advance(2 * COMMAND_TIMEOUT_MS);
  await asked;
  for (const answer of ["no json\n", "[]\n", '{"ok":false}\n', "x".repeat(2 ** 20 + 1)]) {
    const odd = new Scene();
    await odd.local.listen(SOCKET, (connection) =>
      connection.onData(() => connection.write(answer)),
    );
    await rejects(odd.ask("echo"), { code: "CONTROL_UNAVAILABLE" }, answer.slice(0, 20));
  }
});

test("control: what a killed instance left behind is replaced", async () => {
  const scene = new Scene();
  scene.files.put(SOCKET, new Uint8Array(0));
  await scene.open(echo);
  equal((await scene.files.stat(SOCKET)) === undefined, true);
  deepEqual([...scene.local.listening], [SOCKET]);
});

test("control: a path that is too long is short elsewhere, and its name is in the directory", async () => {
  const scene = new Scene();
  scene.local.pathBytesMax = SOCKET.length - 1;
  scene.files.putDirectory("/data/run");
  scene.files.put("/data/run/control.path", Buffer.from("/short/old"));
  scene.local.shortDirectories.add("/short/old");
  const session = await scene.open(echo);
  deepEqual([...scene.local.shortDirectories], ["/short/1"]);
  deepEqual([...scene.local.listening], ["/short/1/control.sock"]);
  deepEqual(await scene.ask("echo"), { kind: "answered", result: { given: {} } });
  await session.close(new AbortController().signal);
  deepEqual([...scene.local.shortDirectories], []);
  deepEqual(await scene.ask("echo"), { kind: "absent" });
});

test("control: a place that cannot be made fails the opening, and leaves nothing", async () => {
  const scene = new Scene();
  scene.local.pathBytesMax = SOCKET.length - 1;
  scene.local.refusal = Object.assign(new Error("no"), { code: "EACCES" });
  await rejects(scene.open(echo), { code: "EACCES" });
  deepEqual([[...scene.local.shortDirectories], scene.files.paths()], [[], []]);
});
