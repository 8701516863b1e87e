import assert from "node:assert/strict";
import { test } from "node:test";
import { mqtt } from "../../../receivers/mqtt/index.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { MemoryBroker, publish, reached, turns } from "../../support/memory-broker.ts";
import { FIELD, mqttScene, openAt } from "../../support/mqtt-scene.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";

const never = (): AbortSignal => new AbortController().signal;

test("mqtt: close stores what was taken, acknowledges it and then says goodbye", async () => {
  const { engine, session, peer } = await mqttScene();
  peer.send(publish("a/1", "one", [1, 1]));
  await turns();
  peer.send(publish("a/1", "two", [1, 2]));
  await turns();
  const closing = Promise.resolve(session.close(never()));
  peer.send(publish("a/1", "late", [1, 3]));
  for (let commit = 0; commit < 3; commit++) {
    await turns();
    await engine.commit();
  }
  await reached("goodbye", () => peer.of("disconnect").length > 0);
  peer.end();
  await closing;
  assert.deepEqual(engine.durable, ["one", "two"]);
  assert.deepEqual(
    peer.packets.slice(-3).map(({ cmd }) => cmd),
    ["puback", "puback", "disconnect"],
  );
  assert.equal(engine.connectionCount, 0);
  assert.deepEqual(engine.failures, []);
});

test("mqtt: a broker that does not end the connection after our goodbye does not hold up the stop", async () => {
  const { engine, session, peer } = await mqttScene();
  const closing = Promise.resolve(session.close(never()));
  await reached("goodbye", () => peer.of("disconnect").length > 0);
  await engine.clock.advance(2_000);
  await closing;
  assert.equal(peer.far.destroyed, true);
});

test("mqtt: close twice, and forced in the middle, ends at once; nothing is acknowledged then", async () => {
  const { engine, session, peer } = await mqttScene();
  peer.send(publish("a/1", "one", [1, 1]));
  await turns();
  const first = Promise.resolve(session.close(never()));
  const second = Promise.resolve(session.close(AbortSignal.abort(new Error("out of time"))));
  await Promise.all([first, second]);
  await engine.commit();
  await turns();
  assert.deepEqual(peer.acks, []);
  assert.equal(peer.of("disconnect").length, 0);
  assert.equal(peer.far.destroyed, true);
});

test("mqtt: an incarnation that is fenced drops what waits, and counts what nobody sends again", async () => {
  const { engine, session, peer } = await mqttScene();
  peer.send(publish("a/1", "on its way", [1, 1]));
  await turns();
  peer.send(publish("a/1", "waits", [1, 2]), publish("a/1", "waits too", [0]));
  await turns();
  engine.abort.abort(new Error("the incarnation is over"));
  peer.send(publish("a/1", "late", [1, 3]));
  const closing = Promise.resolve(session.close(never()));
  await turns();
  await engine.commit();
  await reached("goodbye", () => peer.of("disconnect").length > 0);
  peer.end();
  await closing;
  assert.deepEqual(engine.durable, ["on its way"]);
  assert.deepEqual(peer.acks, ["puback 1"]);
  assert.equal(engine.droppedCount, 1);
});

test("mqtt without a session: what was read is stored first, or given up by name", async () => {
  const options = { cleanSession: true };
  assert.equal(mqtt("field", { ...FIELD, ...options }).redelivers, false);
  const { engine, session, peer } = await mqttScene({ options });
  peer.send(publish("a/1", "on its way", [1, 1]));
  await turns();
  peer.send(publish("a/1", "waits", [1, 2]));
  await turns();
  engine.abort.abort(new Error("the incarnation is over"));
  const stopped = new AbortController();
  const closing = Promise.resolve(session.close(stopped.signal));
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.inflightBlocks, [["waits"]]);
  engine.refuseWith = new HoldfastError("BUSY", "1 byte is in flight, limit 0");
  await engine.failOldest(engine.refuseWith);
  stopped.abort(new HoldfastError("UNIT_DEADLINE", "5,000 ms to close are over"));
  await closing;
  assert.deepEqual(engine.givenUp, [{ text: "waits", code: "UNIT_DEADLINE" }]);
});

test("mqtt: an opening that is aborted leaves no connection", async () => {
  const broker = new MemoryBroker();
  const engine = new ReceiverHarness({ sockets: broker });
  const opening = engine.open(mqtt("field", FIELD));
  const outcome = opening.catch((cause: unknown) => cause);
  await reached("connect", () => broker.connections.length > 0);
  engine.abort.abort(new Error("30,000 ms to open are over"));
  assert.match(String(await outcome), /to open are over/);
  assert.equal(broker.last.isEnded, true);
  assert.equal(engine.clock.timerCount, 0);
});

test("mqtt: nothing is left behind after a close: no timer, no connection", async () => {
  const { engine, session, peer } = await mqttScene();
  const closing = Promise.resolve(session.close(never()));
  await reached("goodbye", () => peer.of("disconnect").length > 0);
  peer.end();
  await closing;
  await turns();
  assert.equal(engine.clock.timerCount, 0);
});

test("mqtt: a receiver that was closed can be opened again as a new one", async () => {
  const { engine, session, broker } = await mqttScene();
  await session.close(AbortSignal.abort());
  const next = new ReceiverHarness({ sockets: broker });
  for (const [channel, position] of engine.positions) next.positions.set(channel, position);
  await openAt(broker, next, { isSessionPresent: true });
  broker.last.send(publish("a/1", "again", [1, 1]));
  await turns();
  await next.commit();
  assert.deepEqual(next.durable, ["again"]);
  await next.session.close(AbortSignal.abort());
});
