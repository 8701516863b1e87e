import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HoldfastError } from "../../../src/errors.ts";
import { interleavings, play, SentTexts, type Step } from "../../support/interleaving.ts";
import { settle } from "../../support/receiver-harness.ts";
import { frame, HANDSHAKE, WirePeer, wireScene } from "../../support/websocket-wire.ts";

const TEXT = 1;
const CLOSE = 8;
const OVERDUE = new HoldfastError("UNIT_DEADLINE", "close has not ended after 5000 ms");

const malformed: readonly [name: string, bytes: Uint8Array, closeCode: number][] = [
  ["an unknown opcode", frame(3, "x"), 1002],
  ["reserved bits", Buffer.of(0xf1, 0x80, 0, 0, 0, 0), 1002],
  ["no mask", Buffer.of(0x81, 0x01, 0x61), 1002],
  ["a continuation of nothing", frame(0, "x"), 1002],
  ["a ping that is too long", frame(9, "x".repeat(126)), 1002],
  ["a Close of one byte", frame(CLOSE, "x"), 1002],
  ["text that is not UTF-8", frame(TEXT, Buffer.of(0xc3, 0x28)), 1007],
  ["a length beyond 2^53", Buffer.of(0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0), 1009],
];
for (const [name, bytes, closeCode] of malformed) {
  test(`websocket: ${name} ends its connection after the count, and no other`, async () => {
    const { engine, dial } = await wireScene();
    const [peer, other] = [dial(), dial()];
    peer.send(frame(TEXT, "a"), bytes, frame(TEXT, "never"));
    other.send(frame(TEXT, "ok"));
    await settle();
    await engine.commit();
    await settle();
    assert.deepEqual([peer.counts, peer.closeCode], [[1], closeCode]);
    assert.deepEqual([other.counts, other.closeCode], [[1], undefined]);
    assert.deepEqual(engine.durable.toSorted(), ["a", "ok"]);
    assert.deepEqual(engine.failures, []);
    assert.deepEqual(engine.codes, [
      closeCode === 1009 ? "MESSAGE_TOO_LONG" : "PROTOCOL_VIOLATION",
    ]);
  });
}

test("websocket: a peer that sends malformed frames again and again is a line, not one for each", async () => {
  const { engine, dial } = await wireScene();
  for (let count = 0; count < 20; count++) {
    dial().send(frame(3, "x"));
    await settle();
  }
  assert.deepEqual(engine.codes, ["PROTOCOL_VIOLATION"]);
});

test("websocket: without counts, what cannot be a record is counted", async () => {
  const { engine, dial } = await wireScene({ acknowledge: "none" });
  dial().send(frame(3, "x"));
  await settle();
  assert.deepEqual([engine.droppedCount, [...engine.dropReasons]], [1, ["PROTOCOL_VIOLATION"]]);
});

test("websocket: any bytes at any point never fail the receiver, and the last count is right", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ maxLength: 20 }).map((text) => frame(TEXT, text)),
    fc.constantFrom(...malformed.map(([, bytes]) => bytes)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 12 }),
      fc.array(fc.nat(400), { maxLength: 6 }),
      async (pieces, cuts) => {
        const { engine, dial } = await wireScene({ messageBytesMax: 30 });
        const peer = dial();
        const bytes = Buffer.concat(pieces);
        let sent = 0;
        for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
          const end = Math.min(Math.max(sent, cut), bytes.length);
          peer.send(bytes.subarray(sent, end));
          sent = end;
          await settle();
        }
        peer.end();
        await settle();
        await engine.commit();
        await settle();
        assert.deepEqual(engine.failures, []);
        assert.ok((peer.counts.at(-1) ?? 0) <= engine.durable.length);
      },
    ),
    { numRuns: 100 },
  );
});

test("websocket: half a handshake's worth of garbage is answered 400", async () => {
  const { engine, http } = await wireScene();
  for (const headers of [
    { ...HANDSHAKE, "sec-websocket-key": "short" },
    { ...HANDSHAKE, "sec-websocket-version": "7" },
    { ...HANDSHAKE, upgrade: "h2c" },
    { ...HANDSHAKE, "sec-websocket-protocol": ",,=" },
  ]) {
    const peer = new WirePeer(http.upgrade("/", headers)).read();
    await settle();
    assert.equal(peer.status, "HTTP/1.1 400 Bad Request");
  }
  assert.deepEqual([engine.failures, engine.connectionCount], [[], 0]);
});

test("websocket: a client that does not read its counts is ended at the limit", async () => {
  const { engine, http } = await wireScene();
  const peer = new WirePeer(http.upgrade("/", HANDSHAKE));
  let rounds = 0;
  for (; !peer.isClosed && rounds < 20_000 && engine.warnings.length === 0; rounds++) {
    peer.send(frame(TEXT, "a"));
    await settle();
    await engine.commit();
  }
  assert.match(
    engine.warnings.join(),
    /does not read its counts: 65\d\d\d bytes wait, limit 65536/,
  );
  await settle();
  assert.deepEqual([engine.failures, engine.connectionCount], [[], 0]);
});

test("websocket: paused, it reads nothing, and goes on when resumed", async () => {
  const { engine, dial } = await wireScene();
  const peer = dial();
  await settle();
  engine.pause();
  const late = dial();
  peer.send(frame(TEXT, "a"));
  late.send(frame(TEXT, "b"));
  await settle();
  assert.deepEqual(engine.inflightBlocks, []);
  engine.resume();
  await settle();
  await engine.commit();
  assert.deepEqual(engine.durable.toSorted(), ["a", "b"]);
});

test("websocket: any interleaving of messages, commits, pauses and BUSY keeps order and count", async () => {
  await fc.assert(
    fc.asyncProperty(interleavings(3, 40), fc.boolean(), async (steps, saysGoodbye) => {
      const { engine, dial } = await wireScene({}, 24);
      const peers = [dial(), dial(), dial()];
      const sent = new SentTexts(3);
      const isNeverAhead = (): void =>
        peers.forEach((peer, i) => {
          const stored = SentTexts.stored(engine, i).length;
          assert.ok((peer.counts.at(-1) ?? 0) <= stored, "a count ahead of the disk");
        });
      const send = (step: Step): void =>
        peers[step.sender]?.send(...sent.next(step).map((text) => frame(TEXT, text)));
      for (const step of steps) {
        await play(step, engine, { send, wait: settle });
        isNeverAhead();
      }
      if (saysGoodbye) for (const peer of peers) peer.send(frame(CLOSE, Buffer.of(0x03, 0xe8)));
      engine.resume();
      const isDone = (): boolean =>
        saysGoodbye
          ? peers.every(({ closeCode }) => closeCode === 1000)
          : engine.durable.length === sent.of.flat().length;
      for (let round = 0; round < 300 && !isDone(); round++) {
        await engine.clock.advance(10);
        await engine.commit();
        isNeverAhead();
      }
      await settle();
      peers.forEach((peer, i) => {
        const stored = SentTexts.stored(engine, i);
        assert.deepEqual(stored, sent.of[i]);
        assert.equal(peer.counts.at(-1) ?? 0, sent.of[i]?.length);
      });
      assert.deepEqual(engine.failures, []);
    }),
    { numRuns: 100 },
  );
});

test("websocket: close stops reading, settles what was accepted, counts it and goes away with 1001", async () => {
  const { engine, dial } = await wireScene();
  const peer = dial();
  peer.send(frame(TEXT, "a"), frame(TEXT, "b"));
  await settle();
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  peer.send(frame(TEXT, "c"));
  await settle();
  assert.equal(peer.closeCode, undefined);
  await engine.commit();
  await settle();
  assert.deepEqual([peer.counts, peer.closeCode], [[2], 1001]);
  peer.send(frame(CLOSE, Buffer.of(0x03, 0xe9)));
  peer.end();
  await closed;
  assert.deepEqual(engine.durable, ["a", "b"]);
  await engine.session.close(new AbortController().signal);
});

test("websocket: close does not wait long for a client that does not answer", async () => {
  const { engine, dial } = await wireScene();
  const peer = dial();
  const closed = engine.session.close(new AbortController().signal);
  await engine.clock.advance(250);
  await closed;
  await settle();
  assert.equal(peer.isClosed, true);
});

test("websocket: a failure stops reading at once, and with counts what waits is dropped", async () => {
  const { engine, dial } = await wireScene({}, 4);
  const peer = dial();
  peer.send(frame(TEXT, "one"));
  await settle();
  peer.send(frame(TEXT, "two"), frame(TEXT, "three"));
  await settle();
  engine.abort.abort(new HoldfastError("UNIT_STOPPED", "it failed"));
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  for (let round = 0; round < 4; round++) await engine.commit();
  await engine.clock.advance(250);
  await closed;
  assert.deepEqual([peer.counts, engine.durable], [[1], ["one"]]);
  assert.deepEqual([engine.givenUp, engine.droppedCount], [[], 0]);
});

test("websocket: without counts, what was read is stored first, and what finds no room is given up", async () => {
  for (const hasRoom of [true, false]) {
    const { engine, dial } = await wireScene({ acknowledge: "none" }, 4);
    const peer = dial();
    peer.send(frame(TEXT, "one"));
    await settle();
    peer.send(frame(TEXT, "two"), frame(TEXT, "three"));
    await settle();
    const deadline = new AbortController();
    engine.abort.abort(new HoldfastError("UNIT_STOPPED", "it failed"));
    const closed = Promise.resolve(engine.session.close(deadline.signal));
    if (hasRoom) for (let round = 0; round < 4; round++) await engine.commit();
    deadline.abort(OVERDUE);
    await closed;
    await engine.commit();
    const code = "UNIT_DEADLINE";
    assert.deepEqual(engine.durable, hasRoom ? ["one", "two", "three"] : ["one"]);
    assert.deepEqual(
      engine.givenUp,
      (hasRoom ? [] : ["two", "three"]).map((text) => ({ text, code })),
    );
  }
});

test("websocket: a connection that breaks keeps what it had sent", async () => {
  const { engine, dial } = await wireScene({}, 4);
  const peer = dial();
  peer.send(frame(TEXT, "one"));
  await settle();
  peer.send(frame(TEXT, "two"));
  await settle();
  peer.destroy();
  for (let round = 0; round < 3; round++) await engine.commit();
  assert.deepEqual(engine.durable, ["one", "two"]);
  assert.deepEqual([engine.failures, engine.connectionCount], [[], 0]);
});
