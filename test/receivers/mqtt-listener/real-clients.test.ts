/**
 * Clients of others: mosquitto's programs, paho (Python), the mqtt package, over TCP and websockets.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { test } from "node:test";
import { WebSocket } from "ws";
import { freePorts } from "../../support/free-port.ts";
import { connected, mqttScene } from "../../support/mqtt-listener-scene.ts";
import { committingUntil, until } from "../../support/websocket-scene.ts";

const IS_CI = process.env["CI"] === "true";
const hasMosquitto = spawnSync("mosquitto_pub", ["--help"]).error === undefined;
const hasPaho = spawnSync("python3", ["-c", "import paho.mqtt.client"]).status === 0;
const withoutMosquitto = !IS_CI && !hasMosquitto && "mosquitto_pub is not installed";
const withoutPaho = !IS_CI && !hasPaho && "paho (Python) is not installed";

/** Runs a program; resolves with its exit code. */
function run(command: string, args: readonly string[], input = ""): Promise<number | null> {
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
}

for (const qos of ["0", "1", "2"])
  test(`mosquitto_pub with QoS ${qos}: every line is a record`, {
    skip: withoutMosquitto,
  }, async (t) => {
    const { engine, end } = await mqttScene();
    t.after(end);
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
    const args = ["-h", "127.0.0.1", "-p", String(engine.port), "-t", "lines", "-q", qos, "-l"];
    let code: number | null | undefined;
    void run("mosquitto_pub", args, `${lines.join("\n")}\n`).then((exit) => {
      code = exit;
      return exit;
    });
    await committingUntil(engine, () => code !== undefined && engine.durable.length >= 50);
    assert.equal(code, 0);
    assert.deepEqual(engine.durable, lines);
  });

test("mosquitto_sub gets what mosquitto_pub sends", { skip: withoutMosquitto }, async (t) => {
  const { engine, end } = await mqttScene({ acl: [{ publish: ["#"], subscribe: ["#"] }] });
  t.after(end);
  const place = ["-h", "127.0.0.1", "-p", String(engine.port), "-t", "a/b", "-q", "1"];
  const subscriber = spawn("mosquitto_sub", [...place, "-C", "1"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const got: string[] = [];
  subscriber.stdout.on("data", (chunk: Buffer) => got.push(chunk.toString()));
  await until(() => engine.connectionCount === 1);
  // It subscribes behind its CONNACK; retained, the message reaches it either way.
  let code: number | null | undefined;
  void run("mosquitto_pub", [...place, "-m", "hello", "-r"]).then((exit) => {
    code = exit;
    return exit;
  });
  await committingUntil(engine, () => code !== undefined && got.length > 0);
  assert.deepEqual([code, got.join("")], [0, "hello\n"]);
});

const PAHO = `
import sys
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho", clean_session=False)
client.connect("127.0.0.1", int(sys.argv[1]), keepalive=60)
client.loop_start()
sent = [client.publish("paho/%d" % i, "message %d" % i, qos=1 + i % 2) for i in range(40)]
for each in sent:
    each.wait_for_publish(30)
print(sum(each.is_published() for each in sent))
client.disconnect()
`;

test("paho: QoS 1 and 2, acknowledged when they are on disk", { skip: withoutPaho }, async (t) => {
  const { engine, end } = await mqttScene();
  t.after(end);
  const child = spawn("python3", ["-c", PAHO, String(engine.port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output: string[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk.toString()));
  let code: number | null | undefined;
  child.once("exit", (exit) => {
    code = exit;
  });
  await committingUntil(engine, () => code !== undefined);
  assert.deepEqual([code, output.join("").trim()], [0, "40"]);
  assert.deepEqual(
    engine.durable.toSorted(),
    Array.from({ length: 40 }, (_, i) => `message ${i}`).toSorted(),
  );
});

test("the mqtt package over websockets, by path, subprotocol and origin", async (t) => {
  const [port = 0] = await freePorts(1);
  const { engine, end } = await mqttScene({
    websocket: { port, origins: ["https://panel.example"] },
  });
  t.after(end);
  const url = `ws://127.0.0.1:${port}`;
  const client = await connected(`${url}/mqtt`, { clientId: "panel" });
  client.publish("a", "1", { qos: 1 });
  await committingUntil(engine, () => engine.durable.length === 1);
  client.publish("b", "x".repeat(200_000), { qos: 1 });
  await committingUntil(engine, () => engine.durable.length === 2);
  client.end(true);
  for (const [path, origin, isLetIn] of [
    ["/mqtt", "https://panel.example", true],
    ["/mqtt", "https://other.example", false],
    ["/other", "https://panel.example", false],
  ] as const) {
    const wsOptions = { headers: { origin } };
    const dialled = connected(url + path, { wsOptions });
    if (isLetIn) (await dialled).end(true);
    else await assert.rejects(dialled);
  }
  await until(() => engine.connectionCount === 0);
  const answer = await fetch(`http://127.0.0.1:${port}/mqtt`);
  assert.equal(answer.status, 426);
});

/** The beginning of a frame of 2 MiB. */
const TWO_MIB = "82ff0000000000200000";

test("over websockets, a malformed frame ends its connection, and no other", async (t) => {
  const [port = 0] = await freePorts(1);
  const { engine, end } = await mqttScene({ websocket: { port } });
  t.after(end);
  const fine = await connected(`ws://127.0.0.1:${port}/mqtt`, { clientId: "fine" });
  for (const bytes of ["83800000000000", "c280", "8100", "82ff0fffffffffffffff", TWO_MIB]) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ["mqtt"]);
    socket.on("error", () => undefined);
    await once(socket, "open");
    await until(() => engine.connectionCount === 2);
    const raw: unknown = Reflect.get(socket, "_socket");
    assert.ok(raw instanceof Socket);
    raw.write(Buffer.from(bytes, "hex"));
    await until(() => engine.connectionCount === 1);
    socket.terminate();
  }
  fine.publish("a", "1", { qos: 1 });
  await committingUntil(engine, () => engine.durable.length === 1);
  assert.deepEqual(engine.failures, []);
  fine.end(true);
});

test("over websockets, frames that do not end are limited over all connections", async (t) => {
  const [port = 0] = await freePorts(1);
  const { engine, end } = await mqttScene({
    websocket: { port },
    messageBytesMax: 2 ** 20,
    unfinishedBytesMax: 4 * 2 ** 20,
  });
  t.after(end);
  const sockets = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ["mqtt"]);
      socket.on("error", () => undefined);
      await once(socket, "open");
      return socket;
    }),
  );
  await until(() => engine.connectionCount === 5);
  for (const socket of sockets) socket.send(Buffer.alloc(900_000), { fin: false });
  await until(() => engine.connectionCount === 4);
  assert.deepEqual(engine.codes, ["BUSY"]);
  assert.deepEqual(engine.failures, []);
  for (const socket of sockets) socket.terminate();
  await until(() => engine.connectionCount === 0);
});

test("1,000 clients of the mqtt package, one message each", async (t) => {
  const { engine, dial, end } = await mqttScene();
  t.after(end);
  const clients = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      dial({ clientId: `meter-${i}`, connectTimeout: 60_000 }),
    ),
  );
  let acknowledged = 0;
  clients.forEach((client, i) =>
    client.publish("a", String(i), { qos: 1 }, () => {
      acknowledged++;
    }),
  );
  await committingUntil(engine, () => acknowledged === 1_000);
  assert.equal(new Set(engine.durable).size, 1_000);
});
