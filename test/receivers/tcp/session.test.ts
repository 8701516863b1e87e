import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { countPosition, positionCount } from "../../../receivers/tcp/session.ts";
import type { MemoryPeer } from "../../support/memory-network.ts";
import { manyRuns } from "../../support/runs.ts";
import { type TcpScene, tcpScene } from "../../support/tcp-scene.ts";

/** Sends, and lets everything happen that needs no commit. */
async function send({ engine }: TcpScene, peer: MemoryPeer, bytes: string): Promise<void> {
  peer.send(bytes);
  await engine.clock.settle();
}

test("tcp session: counts go on over connections; a new one is answered `0 unknown`", async () => {
  const world = await tcpScene();
  const first = world.dial();
  await send(world, first, "HOLDFAST-SESSION meter-7\na\nb\n");
  assert.equal(first.text, "0 unknown\n");
  await world.engine.commit();
  assert.equal(first.text, "0 unknown\n2\n");
  first.end();
  await world.engine.clock.settle();
  const second = world.dial();
  await send(world, second, "HOLDFAST-SESSION meter-7\r\nc\n");
  await world.engine.commit();
  assert.equal(second.text, "2\n3\n");
  const other = world.dial();
  await send(world, other, "HOLDFAST-SESSION meter-8\n");
  assert.equal(other.text, "0 unknown\n");
  assert.deepEqual(world.engine.durable, ["a", "b", "c"]);
  assert.deepEqual([...world.engine.positions.keys()], ["session/meter-7"]);
});

test("tcp session: with counts as bytes the first answer is a line all the same", async () => {
  const world = await tcpScene({ acknowledge: "count-bytes" });
  world.engine.positions.set("session/a", countPosition(2 ** 32 + 5));
  const peer = world.dial();
  await send(world, peer, "HOLDFAST-SESSION a\nx\n");
  await world.engine.commit();
  assert.equal(peer.text, `${2 ** 32 + 5}\n\0\0\0\x06`);
});

test("tcp session: the newer connection waits for what the older one handed over, and ends it", async () => {
  const world = await tcpScene();
  const older = world.dial();
  await send(world, older, "HOLDFAST-SESSION m\na\nb\n");
  const newer = world.dial();
  await send(world, newer, "HOLDFAST-SESSION m\n");
  const newest = world.dial();
  await send(world, newest, "HOLDFAST-SESSION m\n");
  assert.deepEqual([newer.text, newest.text], ["", ""]);
  // Nothing that the older one sends now is taken.
  await send(world, older, "c\n");
  await world.engine.commit();
  await world.engine.clock.settle();
  assert.deepEqual([older.text, older.isEnded], ["0 unknown\n2\n", true]);
  assert.deepEqual([newer.text, newer.isEnded], ["", true]);
  assert.equal(newest.text, "2\n");
  await send(world, newest, "c\n");
  await world.engine.commit();
  assert.equal(newest.text, "2\n3\n");
  assert.deepEqual(world.engine.durable, ["a", "b", "c"]);
});

test("tcp session: what the older one held is dropped, the client sends it again", async () => {
  const world = await tcpScene();
  const older = world.dial();
  await send(world, older, "HOLDFAST-SESSION m\na\n");
  world.engine.pause();
  older.connection.resume();
  await send(world, older, "b\n");
  older.reset(new Error("cable"));
  const newer = world.dial();
  newer.connection.resume();
  await send(world, newer, "HOLDFAST-SESSION m\n");
  await world.engine.commit();
  world.engine.resume();
  await world.engine.clock.settle();
  assert.equal(newer.text, "1\n");
  await send(world, newer, "b\n");
  await world.engine.commit();
  assert.deepEqual(world.engine.durable, ["a", "b"]);
});

test("tcp session: a block that is refused is in no count, and nothing behind it is", async () => {
  const world = await tcpScene();
  const first = world.dial();
  await send(world, first, "HOLDFAST-SESSION m\na\n");
  await world.engine.commit();
  await send(world, first, "b\n");
  await world.engine.failOldest(new Error("no room"));
  await send(world, first, "c\n");
  await world.engine.clock.settle();
  assert.deepEqual([first.text, first.isEnded], ["0 unknown\n1\n", true]);
  const second = world.dial();
  await send(world, second, "HOLDFAST-SESSION m\n");
  assert.equal(second.text, "1\n");
});

test("tcp session: the first line may come in any pieces; what only looks like one is a message", async () => {
  const line = "HOLDFAST-SESSION a.b_c:d-1\nx\n";
  for (let at = 0; at <= line.length; at++) {
    const world = await tcpScene();
    const peer = world.dial();
    await send(world, peer, line.slice(0, at));
    await send(world, peer, line.slice(at));
    await world.engine.commit();
    assert.deepEqual([peer.text, world.engine.durable], ["0 unknown\n1\n", ["x"]], `${at}`);
  }
  for (const plain of [
    "HOLDFAST-SESSIO\n",
    "HOLDFAST-SESSIONS a\n",
    "holdfast-session a\n",
    "H\nx\n",
  ]) {
    for (let at = 0; at <= plain.length; at++) {
      const world = await tcpScene();
      const peer = world.dial();
      await send(world, peer, plain.slice(0, at));
      await send(world, peer, plain.slice(at));
      await world.engine.commit();
      assert.deepEqual(world.engine.durable, plain.trimEnd().split("\n"), `${plain} at ${at}`);
    }
  }
});

test("tcp session: a first line that was cut off is no record but a dead letter", async () => {
  const world = await tcpScene();
  const peer = world.dial();
  await send(world, peer, "HOLDFAST-SESS");
  peer.end();
  await world.engine.clock.settle();
  assert.deepEqual(world.engine.setAside, [
    { text: "HOLDFAST-SESS", code: "MESSAGE_UNTERMINATED" },
  ]);
});

for (const [why, line] of [
  ["nothing", "HOLDFAST-SESSION \n"],
  ["a character that is not allowed", "HOLDFAST-SESSION a b\n"],
  ["a name that is too long", `HOLDFAST-SESSION ${"a".repeat(129)}\n`],
  ["a name without an end", `HOLDFAST-SESSION ${"a".repeat(130)}`],
] as const) {
  test(`tcp session: ${why} ends the connection and stores nothing`, async () => {
    const world = await tcpScene();
    const peer = world.dial();
    await send(world, peer, `${line}x\n`);
    await world.engine.clock.settle();
    assert.deepEqual([peer.text, peer.isEnded, world.engine.inflightBlocks], ["", true, []]);
    assert.deepEqual(world.engine.codes, ["SESSION_INVALID"]);
  });
}

test("tcp session: without counts the line is a message like any other", async () => {
  const world = await tcpScene({ acknowledge: "none" });
  const peer = world.dial();
  await send(world, peer, "HOLDFAST-SESSION a\n");
  await world.engine.commit();
  assert.deepEqual(world.engine.durable, ["HOLDFAST-SESSION a"]);
});

test("tcp session: a position that is none fails the receiver, and says what is wrong", async () => {
  const world = await tcpScene();
  world.engine.positions.set("session/a", Buffer.from("abc"));
  await send(world, world.dial(), "HOLDFAST-SESSION a\n");
  assert.deepEqual(
    world.engine.failures.map((each) => Reflect.get(each, "code")),
    ["LOG_DAMAGED"],
  );
});

test("tcp session: counts as positions come back", () => {
  for (const count of [0, 1, 255, 2 ** 32, Number.MAX_SAFE_INTEGER])
    assert.equal(positionCount(countPosition(count)), count);
});

type Step =
  | { readonly kind: "send"; readonly count: number }
  | { readonly kind: "commit"; readonly blocks: number }
  | { readonly kind: "break" | "pause" | "resume" | "refuse" };

/** A client that knows nothing but what it was answered, and sends again from there. */
class Client {
  readonly #world: TcpScene;
  #peer: MemoryPeer | undefined;
  /** The next number to send; undefined until the session's count is known. */
  #next: number | undefined;

  constructor(world: TcpScene) {
    this.#world = world;
  }

  async send(count: number): Promise<void> {
    if (this.#peer === undefined || this.#peer.isEnded || this.#peer.connection.isClosed) {
      this.#peer = this.#world.dial();
      this.#next = undefined;
      await send(this.#world, this.#peer, "HOLDFAST-SESSION m\n");
    }
    const answer = /^(\d+)( unknown)?\n/.exec(this.#peer.text)?.[1];
    if (answer === undefined) return;
    this.#next ??= Number(answer);
    const numbers = Array.from({ length: count }, (_, i) => `${(this.#next ?? 0) + i}\n`);
    this.#next += count;
    await send(this.#world, this.#peer, numbers.join(""));
  }

  break(): void {
    this.#peer?.reset(new Error("cable"));
    this.#peer = undefined;
  }
}

test("tcp session: whatever breaks, a client that sends again from the count stores each message once", async () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.integer({ min: 1, max: 4 }).map((count) => ({ kind: "send" as const, count })),
    },
    { weight: 4, arbitrary: fc.nat(3).map((blocks) => ({ kind: "commit" as const, blocks })) },
    {
      weight: 3,
      arbitrary: fc.constantFrom("break", "pause", "resume", "refuse").map((kind) => ({ kind })),
    },
  );
  const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const world = await tcpScene();
    const { engine } = world;
    const client = new Client(world);
    for (const each of steps) {
      if (each.kind === "send") await client.send(each.count);
      else if (each.kind === "commit") await engine.commit(each.blocks);
      else if (each.kind === "break") client.break();
      else if (each.kind === "pause") engine.pause();
      else if (each.kind === "resume") engine.resume();
      // As the log does it: with everything behind it.
      else while (engine.inflightBlocks.length > 0) await engine.failOldest(new Error("no room"));
    }
    engine.resume();
    for (let round = 0; round < 4; round++) {
      await client.send(1);
      await engine.commit();
    }
    assert.deepEqual(
      engine.durable,
      engine.durable.map((_, number) => `${number}`),
    );
    assert.ok(engine.durable.length > 0);
    assert.deepEqual(engine.failures, []);
  });
  await fc.assert(property, manyRuns);
});
