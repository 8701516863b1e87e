import assert from "node:assert/strict";
import { test } from "node:test";
import { connectRefused, disconnected } from "../../../receivers/mqtt/refusals.ts";
import { CODES, codeOf, HoldfastError } from "../../../src/errors.ts";
import { MemoryBroker, publish, reached, turns } from "../../support/memory-broker.ts";
import { mqttScene, openAt } from "../../support/mqtt-scene.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";

const CONNACKS = [
  [4, 1, "MQTT_REFUSED"],
  [4, 2, "MQTT_REFUSED"],
  [4, 3, "MQTT_UNAVAILABLE"],
  [4, 4, "MQTT_UNAUTHORIZED"],
  [4, 5, "MQTT_UNAUTHORIZED"],
  [5, 0x84, "MQTT_REFUSED"],
  [5, 0x85, "MQTT_REFUSED"],
  [5, 0x86, "MQTT_UNAUTHORIZED"],
  [5, 0x87, "MQTT_UNAUTHORIZED"],
  [5, 0x88, "MQTT_UNAVAILABLE"],
  [5, 0x89, "MQTT_UNAVAILABLE"],
  [5, 0x8a, "MQTT_UNAUTHORIZED"],
  [5, 0x97, "MQTT_UNAVAILABLE"],
  [5, 0x9d, "MQTT_REFUSED"],
] as const;

for (const [protocolVersion, code, expected] of CONNACKS)
  test(`mqtt ${protocolVersion}: CONNACK with code ${code} is ${expected}`, async () => {
    const broker = new MemoryBroker(protocolVersion);
    const engine = new ReceiverHarness({ sockets: broker });
    const error = await openAt(broker, engine, { code, options: { protocolVersion } }).catch(
      (cause: unknown) => cause,
    );
    assert.equal(codeOf(error), expected);
    assert.match(String(error), new RegExp(`code ${code}`));
    assert.equal(broker.last.isEnded, true);
    assert.equal(engine.connectionCount, 0);
  });

test("mqtt: a code that nobody knows is tried again; a broker's text is shown without control characters", () => {
  const parts = {
    protocolVersion: 5,
    reason: 0xfe,
    text: { reasonString: "no\nway\u0007" },
  } as const;
  const error = connectRefused("broker:1883", parts);
  assert.equal(error.code, "MQTT_UNAVAILABLE");
  assert.match(error.message, /"no\?way\?"/);
  assert.equal(disconnected("broker:1883", 0x8b).code, "MQTT_UNAVAILABLE");
});

test("mqtt: what only a person can change is not retried, what passes is", () => {
  const permanent = [
    "MQTT_UNAUTHORIZED",
    "MQTT_REFUSED",
    "MQTT_SUBSCRIPTION_REFUSED",
    "MQTT_SESSION_TAKEN",
  ] as const;
  for (const code of permanent) assert.equal(CODES[code].retried, false, code);
  for (const code of ["MQTT_UNAVAILABLE", "MQTT_PROTOCOL_ERROR"] as const)
    assert.equal(CODES[code].retried, true, code);
});

const SUBACKS = [
  [4, 0x80, "MQTT_SUBSCRIPTION_REFUSED"],
  [5, 0x87, "MQTT_SUBSCRIPTION_REFUSED"],
  [5, 0x8f, "MQTT_SUBSCRIPTION_REFUSED"],
  [5, 0x9e, "MQTT_SUBSCRIPTION_REFUSED"],
  [5, 0x97, "MQTT_UNAVAILABLE"],
  [5, 0, "MQTT_SUBSCRIPTION_REFUSED"],
] as const;

for (const [protocolVersion, code, expected] of SUBACKS)
  test(`mqtt ${protocolVersion}: SUBACK with code ${code} for QoS 1 is ${expected}, and names the filter`, async () => {
    const broker = new MemoryBroker(protocolVersion);
    const engine = new ReceiverHarness({ sockets: broker });
    const options = { protocolVersion, topics: ["a/#", "b/#"] };
    await assert.rejects(
      openAt(broker, engine, { granted: [1, code], options }),
      (error: unknown) => codeOf(error) === expected && String(error).includes('"b/#"'),
    );
    assert.equal(broker.last.isEnded, true);
  });

test("mqtt: a session that another client takes over parks instead of taking it back", async () => {
  const { engine, peer } = await mqttScene();
  peer.send({ cmd: "disconnect", reasonCode: 0x8e });
  peer.end();
  await reached("failure", () => engine.failures.length > 0);
  await turns();
  assert.deepEqual(engine.failures.map(codeOf), ["MQTT_SESSION_TAKEN"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: a broker that shuts down, ends or resets the connection is tried again", async () => {
  const ends = [
    ["MQTT_UNAVAILABLE", (peer) => peer.send({ cmd: "disconnect", reasonCode: 0x8b })],
    ["CONNECTION_FAILED", (peer) => peer.end()],
    ["CONNECTION_FAILED", (peer) => peer.reset()],
  ] as readonly (readonly [string, (peer: MemoryBroker["last"]) => void])[];
  for (const [expected, end] of ends) {
    const { engine, peer } = await mqttScene();
    end(peer);
    await reached("failure", () => engine.failures.length > 0);
    await turns();
    assert.deepEqual(engine.failures.map(codeOf), [expected]);
    await engine.session.close(AbortSignal.abort());
  }
});

test("mqtt: a broker that cannot be reached fails the opening with the socket's code", async () => {
  const broker = new MemoryBroker();
  broker.refuseWith = new HoldfastError("CONNECTION_FAILED", "broker:1883: connection refused");
  const engine = new ReceiverHarness({ sockets: broker });
  await assert.rejects(openAt(broker, engine), { code: "CONNECTION_FAILED" });
});

const BEFORE_CONNACK: readonly (readonly [string, string | Buffer])[] = [
  ["an HTTP server", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ["zeros", Buffer.alloc(64)],
  ["a length of five bytes", Buffer.from([0x20, 0xff, 0xff, 0xff, 0xff, 0x01])],
  ["a PUBLISH first", Buffer.from([0x30, 3, 0, 1, 0x61])],
  ["a CONNACK of 100 MB", Buffer.from([0x20, 0x80, 0xc2, 0xd7, 0x2f])],
];

for (const [what, bytes] of BEFORE_CONNACK)
  test(`mqtt: ${what} instead of CONNACK is MQTT_PROTOCOL_ERROR`, async () => {
    const broker = new MemoryBroker();
    const engine = new ReceiverHarness({ sockets: broker });
    const opening = openAt(broker, engine, {});
    const outcome = opening.catch((cause: unknown) => cause);
    await reached("connect", () => broker.connections.length > 0);
    broker.last.sendBytes(Buffer.from(bytes));
    assert.equal(codeOf(await outcome), "MQTT_PROTOCOL_ERROR");
    assert.equal(broker.last.isEnded, true);
  });

const AFTER_CONNACK: readonly (readonly [string, readonly number[]])[] = [
  ["QoS 3", [0x36, 5, 0, 1, 0x61, 0, 1]],
  ["a topic longer than the packet", [0x32, 5, 0, 9, 0x61, 0, 1]],
  ["no topic", [0x32, 5, 0, 0, 0, 1, 0]],
  ["packet id 0", [0x32, 6, 0, 1, 0x61, 0, 0, 0]],
  ["no room for the packet id", [0x32, 3, 0, 1, 0x61]],
  ["properties longer than the packet", [0x32, 6, 0, 1, 0x61, 0, 1, 9]],
  ["properties cut off", [0x32, 9, 0, 1, 0x61, 0, 1, 3, 0x26, 0, 5]],
  ["an unknown property", [0x32, 8, 0, 1, 0x61, 0, 1, 2, 0x7f, 0]],
  ["a PUBREL without its id", [0x62, 1, 0]],
  ["a CONNECT from a broker", [0x10, 0]],
];

for (const [what, bytes] of AFTER_CONNACK)
  test(`mqtt: ${what} is MQTT_PROTOCOL_ERROR, and what came before is stored`, async () => {
    const { engine, peer } = await mqttScene();
    peer.send(publish("a/1", "before", [1, 1]));
    await turns();
    peer.sendBytes(Buffer.from(bytes));
    await reached("failure", () => engine.failures.length > 0);
    await engine.commit();
    assert.deepEqual(engine.failures.map(codeOf), ["MQTT_PROTOCOL_ERROR"]);
    assert.deepEqual(engine.durable, ["before"]);
    assert.equal(peer.isEnded, true);
    await engine.session.close(AbortSignal.abort());
  });
