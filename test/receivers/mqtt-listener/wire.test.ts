import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { generate } from "mqtt-packet";
import { HoldfastError } from "../../../src/errors.ts";
import { realClock } from "../../../src/host/clock.ts";
import { interleavings, play, SentTexts, type Step } from "../../support/interleaving.ts";
import { settle } from "../../support/receiver-harness.ts";
import { dialled, endScenes, message, mqttWireScene, turns } from "../../support/mqtt-wire.ts";

/** aedes has timers that keep the process. */
after(endScenes);

test("mqtt-listener: messages of one turn are one block over all clients, acknowledged in order", async () => {
  const made = await mqttWireScene();
  const { engine } = made;
  const [a, b] = [await dialled(made, "a"), await dialled(made, "b")];
  a.send(message("a1", 1, 7), message("a2", 1, 5), message("a3", 0));
  b.send(message("b1", 1, 9));
  await turns();
  assert.equal(engine.inflightBlocks.length, 1);
  assert.deepEqual([a.acknowledged("puback"), b.acknowledged("puback")], [[], []]);
  await engine.commit();
  await turns();
  assert.deepEqual([a.acknowledged("puback"), b.acknowledged("puback")], [[7, 5], [9]]);
  assert.deepEqual(engine.durable, ["a1", "a2", "a3", "b1"]);
});

const wrong: readonly [name: string, bytes: Uint8Array, code: string][] = [
  ["no CONNECT first", generate(message("x", 1)), "PROTOCOL_VIOLATION"],
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "PROTOCOL_VIOLATION"],
  ["a length of 5 bytes", Buffer.of(0x10, 0xff, 0xff, 0xff, 0xff, 0x01), "PROTOCOL_VIOLATION"],
  ["a CONNECT of 1 MB", Buffer.of(0x10, 0xc0, 0x84, 0x3d), "MESSAGE_TOO_LONG"],
  [
    "a CONNECT of zeros",
    Buffer.concat([Buffer.of(0x10, 12), Buffer.alloc(12)]),
    "PROTOCOL_VIOLATION",
  ],
];
for (const [name, bytes, code] of wrong) {
  test(`mqtt-listener: ${name} ends the connection`, async () => {
    const { engine, streams } = await mqttWireScene();
    const wire = streams.dial();
    wire.bytes(bytes);
    await turns();
    assert.deepEqual([wire.isClosed, engine.codes, engine.failures], [true, [code], []]);
    assert.equal(engine.connectionCount, 0);
  });
}

const wrongLater: readonly [name: string, bytes: Uint8Array, code: string][] = [
  ["a second CONNECT", Buffer.of(0x10, 0), "PROTOCOL_VIOLATION"],
  ["a reserved type", Buffer.of(0xf0, 0), "PROTOCOL_VIOLATION"],
  ["QoS 3", Buffer.of(0x36, 5, 0, 1, 0x61, 0, 1), "PROTOCOL_VIOLATION"],
  ["a topic with a wildcard", generate(message("x", 1, 1, "a/+")), "PROTOCOL_VIOLATION"],
  ["a topic with a zero character", generate(message("x", 1, 1, "a\0")), "PROTOCOL_VIOLATION"],
  ["a topic that is not UTF-8", Buffer.of(0x32, 5, 0, 1, 0xff, 0, 1), "PROTOCOL_VIOLATION"],
  ["a topic beyond its packet", Buffer.of(0x32, 4, 0xff, 0xff, 0, 1), "PROTOCOL_VIOLATION"],
  ["a topic of the broker", generate(message("x", 1, 1, "$SYS/x")), "CONNECTION_REFUSED"],
  ["a topic of 2,000 bytes", generate(message("x", 1, 1, "t".repeat(2_000))), "MESSAGE_TOO_LONG"],
  ["100 levels and more", generate(message("x", 1, 1, "a/".repeat(200))), "PROTOCOL_VIOLATION"],
  ["a message that is too long", generate(message("x".repeat(101), 1)), "MESSAGE_TOO_LONG"],
  ["a length of 10 MB", Buffer.of(0x32, 0x80, 0xad, 0xe2, 0x04), "MESSAGE_TOO_LONG"],
];
for (const [name, bytes, code] of wrongLater) {
  test(`mqtt-listener: ${name} ends its connection, and no other`, async () => {
    const made = await mqttWireScene({ messageBytesMax: 100 });
    const { engine } = made;
    const [wire, other] = [await dialled(made, "a"), await dialled(made, "b")];
    wire.publish("before", 1, 4);
    await turns();
    wire.bytes(bytes);
    other.publish("ok", 1, 8);
    await turns();
    await engine.commit();
    await turns();
    assert.deepEqual([wire.isClosed, other.isClosed, engine.codes], [true, false, [code]]);
    assert.deepEqual([other.acknowledged("puback"), engine.failures], [[8], []]);
    assert.deepEqual(engine.durable, ["before", "ok"]);
  });
}

test("mqtt-listener: any bytes at any point never fail the receiver or the process", async () => {
  const made = await mqttWireScene({ acl: [{ publish: ["#"], subscribe: ["#"] }] });
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 60 }))
      .map(([head, body]) => Buffer.concat([Buffer.of(head, body.length), body])),
    fc.constantFrom(...wrong.map(([, bytes]) => bytes), ...wrongLater.map(([, bytes]) => bytes)),
    fc.constantFrom(
      generate(message("fine", 1)),
      generate(message("twice", 2)),
      generate({ cmd: "pubrel", messageId: 1 }),
      generate({ cmd: "puback", messageId: 1 }),
      generate({ cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "#", qos: 1 }] }),
      generate({ cmd: "unsubscribe", messageId: 4, unsubscriptions: ["#"] }),
      generate({ cmd: "pingreq" }),
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(piece, { maxLength: 8 }),
      fc.array(fc.nat(200), { maxLength: 4 }),
      async (isConnected, pieces, cuts) => {
        const wire = isConnected ? await dialled(made, "fuzz") : made.streams.dial();
        const bytes = Buffer.concat(pieces);
        let sent = 0;
        for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
          const end = Math.min(Math.max(sent, cut), bytes.length);
          wire.bytes(bytes.subarray(sent, end));
          sent = end;
          await settle();
        }
        await made.engine.commit();
        wire.destroy();
        await made.engine.commit();
        assert.deepEqual(made.engine.failures, []);
      },
    ),
    { numRuns: 300 },
  );
  await made.engine.commit();
  await turns();
  assert.equal(made.engine.connectionCount, 0);
});

test("mqtt-listener: everything in one packet of the network, before CONNACK, is taken", async () => {
  const { engine, streams } = await mqttWireScene();
  const wire = streams.dial();
  const connect = { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true } as const;
  wire.send(
    { ...connect, keepalive: 0, clientId: "a" },
    ...Array.from({ length: 200 }, (_, i) => message(String(i), 0)),
    { cmd: "disconnect" },
  );
  wire.end();
  await turns(20);
  await engine.commit();
  assert.deepEqual(
    engine.durable,
    Array.from({ length: 200 }, (_, i) => String(i)),
  );
});

test("mqtt-listener: a message that comes byte by byte is kept in few pieces, and stored", async (t) => {
  const made = await mqttWireScene();
  const wire = await dialled(made);
  const concat = t.mock.method(Buffer, "concat");
  const text = "x".repeat(10_000);
  for (const byte of generate(message(text, 1))) {
    wire.bytes(Buffer.of(byte));
    await settle();
  }
  const pieces = concat.mock.calls.map(({ arguments: [list] }) => list.length);
  concat.mock.restore();
  assert.ok(Math.max(...pieces) <= 1_025, `${Math.max(...pieces)} pieces`);
  await made.engine.commit();
  await turns();
  assert.deepEqual([made.engine.durable, wire.acknowledged("puback")], [[text], [1]]);
});

test("mqtt-listener: beyond inflightMessagesMax a client is not read, and goes on as messages are settled", async () => {
  const made = await mqttWireScene({ inflightMessagesMax: 3 });
  const { engine } = made;
  const wire = await dialled(made);
  wire.send(...Array.from({ length: 10 }, (_, i) => message(String(i + 1), 1, i + 1)));
  await turns();
  assert.deepEqual(engine.inflightBlocks.flat(), ["1", "2", "3"]);
  for (let round = 0; round < 4; round++) {
    await engine.commit();
    await turns();
  }
  assert.deepEqual(
    wire.acknowledged("puback"),
    Array.from({ length: 10 }, (_, i) => i + 1),
  );
});

test("mqtt-listener: under pressure QoS 0 is counted, QoS 1 waits unacknowledged and is stored later", async () => {
  const made = await mqttWireScene();
  const { engine } = made;
  const wire = await dialled(made);
  engine.pause();
  wire.publish("dropped", 0).publish("kept", 1, 2);
  await turns();
  assert.deepEqual([engine.inflightBlocks, engine.droppedCount], [[], 1]);
  assert.deepEqual([...engine.dropReasons], ["BUSY"]);
  engine.resume();
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual([engine.durable, wire.acknowledged("puback")], [["kept"], [2]]);
});

test("mqtt-listener: what waits for room is bounded, then clients are not read", async () => {
  const made = await mqttWireScene({ inflightMessagesMax: 1_000 });
  const { engine } = made;
  const wire = await dialled(made);
  engine.pause();
  const payload = "x".repeat(200_000);
  for (let i = 1; i <= 60; i++) wire.publish(payload, 1, i);
  await turns(60);
  engine.resume();
  // What the gate had taken before it stopped comes at once, the rest when that was settled.
  await turns();
  const first = engine.inflightBlocks.flat().length;
  assert.ok(first < 60, `${first} messages were held`);
  for (let round = 0; wire.acknowledged("puback").length < 60 && round < 50; round++) {
    await engine.commit();
    await turns();
  }
  assert.equal(engine.durable.length, 60);
});

test("mqtt-listener: what the log refuses ends the connections, and afterwards it goes on", async () => {
  const made = await mqttWireScene();
  const { engine } = made;
  const [a, b] = [await dialled(made, "a"), await dialled(made, "b")];
  a.publish("1", 1, 1);
  await turns();
  b.send(message("2", 1, 1), message("3", 0));
  await turns();
  await engine.failOldest(new HoldfastError("LOG_FULL", "no room for 30000 ms"));
  await turns();
  assert.deepEqual([a.isClosed, b.isClosed], [true, true]);
  assert.deepEqual([engine.droppedCount, [...engine.dropReasons]], [1, ["LOG_FULL"]]);
  await engine.commit();
  await turns();
  const again = await dialled(made, "a");
  again.publish("1", 1, 1);
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual([again.acknowledged("puback"), engine.failures], [[1], []]);
  // "2" was on its way: it is stored, not acknowledged, and comes again.
  assert.deepEqual(engine.durable, ["2", "3", "1"]);
});

test("mqtt-listener: a newer connection of a client ends the older", async () => {
  const made = await mqttWireScene();
  const older = await dialled(made, "a");
  const newer = await dialled(made, "a");
  await turns();
  assert.deepEqual([older.isClosed, newer.isClosed, newer.returnCode], [true, false, 0]);
  assert.equal(made.engine.connectionCount, 1);
});

for (const turn of [0, 1, 2])
  test(`mqtt-listener: so it does when one before both broke ${turn} turns into the older one's CONNECT`, async () => {
    const made = await mqttWireScene({ acl: [{ publish: ["none"], subscribe: ["#"] }] });
    const first = await dialled(made);
    first.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "x", qos: 0 }] });
    await turns();
    const older = made.streams.dial().connect("a");
    for (let i = 0; i < turn; i++) await realClock.yield();
    first.destroy();
    await turns();
    const newer = await dialled(made);
    await turns();
    assert.deepEqual([older.isClosed, newer.isClosed], [true, false]);
    assert.equal(made.engine.connectionCount, 1);
  });

test("mqtt-listener: silence beyond the keep-alive ends a connection, but not while we are the ones who wait", async () => {
  const made = await mqttWireScene({ inflightMessagesMax: 1 });
  const { engine } = made;
  const wire = await dialled(made, "a", { keepalive: 10 });
  await engine.clock.advance(14_000);
  wire.send({ cmd: "pingreq" });
  await turns();
  await engine.clock.advance(14_000);
  assert.equal(wire.isClosed, false);
  wire.publish("a", 1, 1);
  await turns();
  await engine.clock.advance(60_000);
  assert.equal(wire.isClosed, false);
  await engine.commit();
  await turns();
  await engine.clock.advance(15_000);
  await turns();
  assert.deepEqual([wire.isClosed, engine.codes], [true, ["CONNECTION_IDLE"]]);
});

test("mqtt-listener: silence beyond the keep-alive ends a connection, however busy others are", async () => {
  const made = await mqttWireScene();
  const silent = await dialled(made, "silent", { keepalive: 10 });
  const busy = await dialled(made, "busy", { keepalive: 10 });
  for (let id = 1; id <= 4; id++) {
    await made.engine.clock.advance(5_000);
    busy.publish("x", 1, id);
    await turns();
    await made.engine.commit();
    await turns();
  }
  assert.deepEqual([silent.isClosed, busy.isClosed], [true, false]);
  assert.deepEqual(made.engine.codes, ["CONNECTION_IDLE"]);
});

test("mqtt-listener: who does not connect in time is ended", async () => {
  const { engine, streams } = await mqttWireScene();
  const wire = streams.dial();
  wire.bytes(Buffer.of(0x10));
  await engine.clock.advance(10_000);
  await turns();
  assert.deepEqual([wire.isClosed, engine.codes], [true, ["CONNECTION_STALLED"]]);
});

test("mqtt-listener: connections beyond the limit are closed at once", async () => {
  const made = await mqttWireScene({ connectionsMax: 1 });
  await dialled(made, "a");
  const refused = made.streams.dial();
  await turns();
  assert.deepEqual([refused.isClosed, made.engine.codes], [true, ["CONNECTION_LIMIT"]]);
});

test("mqtt-listener: of unfinished packets beyond the limit of all connections, the longest ends its own", async () => {
  const made = await mqttWireScene({ messageBytesMax: 2 ** 20, unfinishedBytesMax: 4 * 2 ** 20 });
  const wires = [];
  for (const [i, id] of ["a", "b", "c", "d", "e"].entries()) {
    const wire = await dialled(made, id);
    const packet = generate(message("x".repeat(900_000), 1, 7));
    wire.bytes(packet.subarray(0, packet.length - 1 - i * 1_000));
    await turns();
    wires.push(wire);
  }
  assert.deepEqual(
    wires.map(({ isClosed }) => isClosed),
    [true, false, false, false, false],
  );
  assert.deepEqual(made.engine.codes, ["BUSY"]);
  wires[1]?.bytes(Buffer.from("x".repeat(1_001)));
  await turns();
  await made.engine.commit();
  await turns();
  assert.deepEqual(wires[1]?.acknowledged("puback"), [7]);
});

test("mqtt-listener: any interleaving of messages, commits, pauses and BUSY: acknowledged is stored, in order", async () => {
  await fc.assert(
    fc.asyncProperty(interleavings(2, 30), async (steps) => {
      const made = await mqttWireScene({ inflightMessagesMax: 5 }, 16);
      const { engine } = made;
      const clients = [await dialled(made, "a"), await dialled(made, "b")];
      const sent = new SentTexts(2);
      const check = (): void =>
        clients.forEach((client, i) => {
          const stored = SentTexts.stored(engine, i);
          assert.deepEqual(stored, sent.of[i]?.slice(0, stored.length));
          assert.ok(client.acknowledged("puback").length <= stored.length);
        });
      const send = (step: Step): void => {
        for (const text of sent.next(step))
          clients[step.sender]?.publish(text, 1, Number(text.split(":")[1]) + 1);
      };
      for (const step of steps) {
        await play(step, engine, { send, wait: () => turns(1) });
        check();
      }
      engine.resume();
      const isDone = (): boolean =>
        clients.every((client, i) => client.acknowledged("puback").length === sent.of[i]?.length);
      for (let round = 0; round < 200 && !isDone(); round++) {
        await engine.clock.advance(10);
        await engine.commit();
        await turns(1);
        check();
      }
      assert.ok(isDone());
      await engine.session.close(AbortSignal.abort(new Error("over")));
      assert.deepEqual(engine.failures, []);
    }),
    { numRuns: 60 },
  );
});
