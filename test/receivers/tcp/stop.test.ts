import assert from "node:assert/strict";
import { test } from "node:test";
import { tcp } from "../../../receivers/tcp/index.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { lines } from "../../../src/framing/index.ts";
import { ReceiverHarness, settle } from "../../support/receiver-harness.ts";
import { MemorySockets } from "../../support/memory-network.ts";
import { type TcpScene, tcpScene } from "../../support/tcp-scene.ts";

const OVERDUE = new HoldfastError("UNIT_DEADLINE", "close has not ended after 5000 ms");
const NONE = { acknowledge: "none" } as const;

/** One block in flight, and what was read with the next, which waits for room. */
async function pressed(options: Parameters<typeof tcpScene>[0]): Promise<TcpScene> {
  const scene = await tcpScene(options, 4);
  const peer = scene.dial();
  peer.send("one\n");
  peer.send("two\nthree\nfour\nhalf");
  await settle();
  assert.deepEqual(scene.engine.inflightBlocks, [["one"]]);
  return scene;
}

/** Ends the incarnation as a failure does, and closes it. */
function fail({ engine }: TcpScene): {
  readonly closed: Promise<void>;
  readonly force: () => void;
} {
  const deadline = new AbortController();
  engine.abort.abort(new HoldfastError("UNIT_STOPPED", "it failed"));
  const closed = Promise.resolve(engine.session.close(deadline.signal));
  return { closed, force: () => deadline.abort(OVERDUE) };
}

test("tcp: a failure stops reading at once, before it is closed", async () => {
  for (const options of [NONE, {}]) {
    const { engine, sockets, dial } = await tcpScene(options);
    const peer = dial();
    peer.send("a\n");
    engine.abort.abort(new Error("it failed"));
    peer.send("b\n");
    const late = sockets.dial(engine.port);
    assert.equal(late.connection.isClosed, true);
    await engine.commit();
    assert.deepEqual(engine.durable, ["a"]);
    assert.equal(peer.isEnded, true);
  }
});

test("tcp: without counts, what was read before a failure is stored first, and the tail is set aside", async () => {
  const scene = await pressed(NONE);
  const { engine } = scene;
  const { closed } = fail(scene);
  assert.deepEqual(engine.setAside, [{ text: "half", code: "MESSAGE_UNTERMINATED" }]);
  for (let round = 0; round < 4; round++) await engine.commit();
  await engine.clock.advance(250);
  await closed;
  assert.deepEqual(engine.durable, ["one", "two", "three", "four"]);
  assert.deepEqual([engine.givenUp, engine.droppedCount], [[], 0]);
});

test("tcp: without counts, what finds no room until the deadline is given up, and so is what comes back later", async () => {
  const scene = await pressed(NONE);
  const { engine } = scene;
  const { closed, force } = fail(scene);
  force();
  await closed;
  const code = "UNIT_DEADLINE";
  assert.deepEqual(
    engine.givenUp,
    ["two", "three", "four"].map((text) => ({ text, code })),
  );
  await engine.failOldest(new HoldfastError("LOG_CLOSED", "closed while it was full"));
  // Its bytes are the log's, so that it can only be counted.
  assert.deepEqual([engine.droppedCount, [...engine.dropReasons]], [1, ["LOG_CLOSED"]]);
  assert.deepEqual([engine.durable, engine.failures], [[], []]);
});

test("tcp: a stop under pressure is the same, with and without room", async () => {
  const roomy = await pressed(NONE);
  const closed = roomy.engine.session.close(new AbortController().signal);
  for (let round = 0; round < 4; round++) await roomy.engine.commit();
  await roomy.engine.clock.advance(250);
  await closed;
  assert.deepEqual(roomy.engine.durable, ["one", "two", "three", "four"]);
  const full = await pressed(NONE);
  const deadline = new AbortController();
  const forced = full.engine.session.close(deadline.signal);
  deadline.abort(OVERDUE);
  await forced;
  assert.deepEqual(
    full.engine.givenUp.map(({ text }) => text),
    ["two", "three", "four"],
  );
});

test("tcp: with counts, what was held at a failure is dropped, no count covers it, and the connection ends", async () => {
  const scene = await tcpScene({}, 4);
  const { engine } = scene;
  const peer = scene.dial();
  for (const text of ["one\n", "two\nthree\nhalf"]) peer.send(text);
  await settle();
  const { closed } = fail(scene);
  for (let round = 0; round < 4; round++) await engine.commit();
  await engine.clock.advance(250);
  await closed;
  assert.deepEqual([peer.text, peer.isEnded], ["1\n", true]);
  assert.deepEqual(engine.durable, ["one"]);
  assert.deepEqual([engine.givenUp, engine.setAside, engine.droppedCount], [[], [], 0]);
});

test("tcp: with counts, a stop under pressure stores and counts what it can, and names nothing", async () => {
  const scene = await tcpScene({}, 4);
  const { engine } = scene;
  const peer = scene.dial();
  for (const text of ["one\n", "two\nthree\n"]) peer.send(text);
  await settle();
  const deadline = new AbortController();
  const closed = engine.session.close(deadline.signal);
  await engine.commit();
  await engine.commit();
  deadline.abort(OVERDUE);
  await closed;
  assert.deepEqual([engine.durable, peer.text], [["one", "two", "three"], "1\n3\n"]);
  assert.deepEqual([engine.givenUp, engine.droppedCount], [[], 0]);
});

test("tcp: without counts, a block that the log refuses is counted, and what is held is given up", async () => {
  const { engine } = await pressed(NONE);
  await engine.failOldest(new HoldfastError("LOG_FULL", "no room for 30000 ms"));
  assert.deepEqual([engine.droppedCount, [...engine.dropReasons]], [1, ["LOG_FULL"]]);
  assert.deepEqual(
    engine.givenUp,
    ["two", "three", "four"].map((text) => ({ text, code: "LOG_FULL" })),
  );
});

test("tcp: without counts, a tail that cannot be set aside is counted", async () => {
  const { engine, dial } = await tcpScene(NONE);
  engine.refuseLetters = new HoldfastError("LOG_CLOSED", "closed");
  const peer = dial();
  peer.send("half");
  peer.end();
  await settle();
  assert.deepEqual([engine.droppedCount, [...engine.dropReasons]], [1, ["MESSAGE_UNTERMINATED"]]);
  assert.equal(peer.isEnded, true);
});

test("tcp: a bug in a chunk ends its connection with the reason, keeps its bytes, and leaves the others alone", async () => {
  const sockets = new MemorySockets();
  const engine = new ReceiverHarness({ sockets });
  const plain = lines();
  const framing = {
    ...plain,
    blockSplitter: (...args: Parameters<typeof plain.blockSplitter>) => {
      const splitter = plain.blockSplitter(...args);
      return {
        get unfinishedBytes() {
          return splitter.unfinishedBytes;
        },
        unfinished: () => splitter.unfinished(),
        push(chunk: Uint8Array, headroomBytes: number) {
          if (chunk.includes("!".charCodeAt(0))) throw new RangeError("a bug");
          return splitter.push(chunk, headroomBytes);
        },
      };
    },
  };
  await engine.open(tcp("meters", { port: 0, acknowledge: "count-line", framing }));
  const [peer, other] = [sockets.dial(engine.port), sockets.dial(engine.port)];
  peer.send("fine\nbeg");
  peer.send("in\nboom!\n");
  peer.send("never read\n");
  other.send("ok\n");
  await engine.commit();
  assert.deepEqual(engine.offending, ["begin\nboom!\n"]);
  assert.deepEqual([peer.text, peer.isEnded], ["1\n", true]);
  assert.deepEqual([other.text, other.isEnded], ["1\n", false]);
  assert.deepEqual(engine.durable, ["fine", "ok"]);
  assert.match(engine.warnings.join(), /ends: a bug/);
});

test("tcp: a refusal that is on its way when the close is forced is given up, too", async () => {
  const { engine, dial } = await tcpScene(NONE, 4);
  const peer = dial();
  peer.send("one\n");
  peer.send("two\n");
  const deadline = new AbortController();
  const closed = engine.session.close(deadline.signal);
  deadline.abort(OVERDUE);
  await closed;
  await settle();
  assert.deepEqual(engine.givenUp, [{ text: "two", code: "BUSY" }]);
});
