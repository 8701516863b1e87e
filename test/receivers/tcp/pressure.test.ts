import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { tcp } from "../../../receivers/tcp/index.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { delimited } from "../../../src/framing/index.ts";
import { MemorySockets } from "../../support/memory-network.ts";
import { interleavings, play, SentTexts, type Step } from "../../support/interleaving.ts";
import { ReceiverHarness, settle } from "../../support/receiver-harness.ts";
import { tcpScene } from "../../support/tcp-scene.ts";

test("tcp: paused, it reads nothing, and goes on when resumed", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  engine.pause();
  peer.send("a\n");
  const late = dial();
  late.send("b\n");
  await settle();
  assert.deepEqual(engine.inflightBlocks, []);
  engine.resume();
  await settle();
  await engine.commit();
  assert.deepEqual(engine.durable, ["a", "b"]);
});

test("tcp: what is refused as BUSY is stored later, in order, once, and counted", async () => {
  const { engine, dial } = await tcpScene({}, 10);
  const peer = dial();
  const sent: string[] = [];
  for (let i = 0; i < 30; i++) {
    sent.push(`message ${i}`);
    peer.send(`message ${i}\n`);
  }
  for (let round = 0; round < 40; round++) await engine.commit();
  assert.ok(engine.busyCount > 0);
  assert.deepEqual(engine.durable, sent);
  assert.equal(peer.writes.at(-1)?.toString(), "30\n");
});

test("tcp: any interleaving of chunks, commits, pauses and BUSY keeps each connection's order and count", async () => {
  await fc.assert(
    fc.asyncProperty(interleavings(3, 40), async (steps) => {
      const { engine, dial } = await tcpScene({}, 24);
      const peers = [dial(), dial(), dial()];
      const sent = new SentTexts(3);
      const send = (step: Step): void => {
        const texts = sent.next(step);
        peers[step.sender]?.send(texts.map((text) => `${text}\n`).join(""));
      };
      for (const step of steps) await play(step, engine, { send, wait: settle });
      for (const peer of peers) peer.end();
      engine.resume();
      for (let round = 0; round < 200 && peers.some((peer) => !peer.isEnded); round++) {
        await engine.clock.advance(10);
        await engine.commit();
      }
      peers.forEach((peer, i) => {
        assert.deepEqual(SentTexts.stored(engine, i), sent.of[i]);
        assert.equal(peer.writes.at(-1)?.toString() ?? "0\n", `${sent.of[i]?.length ?? 0}\n`);
      });
    }),
    { numRuns: 100 },
  );
});

test("tcp: what was held is stored even if its sender is gone by then", async () => {
  const { engine, dial } = await tcpScene({}, 4);
  const peer = dial();
  peer.send("one\n");
  peer.send("two\n");
  await settle();
  peer.reset(new Error("cable"));
  await engine.commit();
  await engine.commit();
  assert.deepEqual(engine.durable, ["one", "two"]);
  assert.deepEqual(engine.failures, []);
});

test("tcp: a block that fails ends its connection; the count never passes it", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.send("a\n");
  peer.send("b\n");
  peer.send("c\n");
  await engine.commit(1);
  await engine.failOldest(new HoldfastError("LOG_FULL", "no room for 30000 ms"));
  await engine.commit();
  assert.deepEqual([peer.text, peer.isEnded], ["1\n", true]);
  assert.deepEqual(engine.durable, ["a", "c"]);
  assert.match(engine.warnings.join(), /ends after 1 messages: no room/);
  assert.deepEqual(engine.failures, []);
});

test("tcp: connections beyond the limit are closed at once, and told once", async () => {
  const { engine, dial } = await tcpScene({ connectionsMax: 2 });
  const [first] = [dial(), dial()];
  const refused = [dial(), dial()];
  assert.deepEqual(
    refused.map(({ connection }) => connection.isClosed),
    [true, true],
  );
  assert.deepEqual(engine.codes, ["CONNECTION_LIMIT"]);
  assert.equal(engine.connectionCount, 2);
  first?.end();
  await settle();
  const again = dial();
  again.send("a\n");
  await engine.commit();
  assert.equal(again.text, "1\n");
  assert.equal(engine.aliveCount, 3);
});

test("tcp: of unfinished messages beyond the limit of all connections, the longest is set aside and ends its own", async () => {
  const { engine, dial } = await tcpScene({ unfinishedBytesMax: 4 * 2 ** 20 });
  const peers = [1, 0, 2, 3, 4].map((order) => {
    const peer = dial();
    peer.send("x".repeat(900_000 - order * 1_000));
    return peer;
  });
  await engine.commit();
  assert.deepEqual(
    peers.map(({ isEnded }) => isEnded),
    [false, true, false, false, false],
  );
  assert.deepEqual(
    engine.setAside.map(({ text, code }) => [text.length, code]),
    [[900_000, "MESSAGE_UNTERMINATED"]],
  );
  assert.match(engine.warnings.join(), /5 connections take 4490000 bytes, limit 4194304/);
  for (const peer of peers) peer.send("\n");
  await engine.commit();
  assert.equal(engine.durable.length, 4);
});

test("tcp: a throw in a socket callback fails the unit, not the process", async () => {
  const sockets = new MemorySockets();
  const harness = new ReceiverHarness({ sockets });
  const framing = {
    ...delimited({ delimiter: "|" }),
    blockSplitter: () => ({
      unfinishedBytes: 0,
      unfinished: () => new Uint8Array(),
      push: () => assert.fail("a bug"),
    }),
  };
  await harness.open(tcp("meters", { port: 0, framing }));
  sockets.dial(harness.port).send("boom");
  assert.deepEqual(
    harness.failures.map(({ message }) => message),
    ["a bug"],
  );
});

test("tcp: close stops reading, settles what was accepted, counts it and ends", async () => {
  const { engine, sockets, dial } = await tcpScene();
  const peer = dial();
  peer.send("a\nb\nhalf");
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  peer.send("c\n");
  await settle();
  assert.throws(() => sockets.dial(engine.port));
  assert.equal(peer.isEnded, false);
  await engine.commit();
  assert.deepEqual([peer.text, peer.isEnded], ["2\n", true]);
  peer.end();
  await closed;
  assert.deepEqual([engine.durable, engine.setAside], [["a", "b"], []]);
  await engine.session.close(new AbortController().signal);
});

test("tcp: close does not wait long for a client that keeps its side open", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  const closed = engine.session.close(new AbortController().signal);
  await engine.clock.advance(250);
  await closed;
  assert.equal(peer.connection.isClosed, true);
});

test("tcp: close is forced when its signal aborts", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.send("a\n");
  const deadline = new AbortController();
  const closed = engine.session.close(deadline.signal);
  await settle();
  deadline.abort();
  await closed;
  assert.equal(peer.connection.isClosed, true);
  await engine.commit();
  assert.deepEqual(engine.failures, []);
});

test("tcp: when the pressure falls before a refusal is known, order is kept and the block tried again", async () => {
  const { engine, dial } = await tcpScene({}, 8);
  const peer = dial();
  peer.send("first 1\n");
  peer.send("second\n");
  // The refusal of the second block is on its way; the engine resumes before it arrives.
  engine.resume("in flight");
  await settle();
  peer.send("third\n");
  peer.send("fourth\n");
  assert.deepEqual(engine.inflightBlocks, [["first 1"]]);
  await engine.clock.advance(10);
  assert.equal(engine.busyCount, 2);
  for (let round = 0; round < 8; round++) await engine.commit();
  assert.deepEqual(engine.durable, ["first 1", "second", "third", "fourth"]);
  assert.equal(peer.writes.at(-1)?.toString(), "4\n");
});
