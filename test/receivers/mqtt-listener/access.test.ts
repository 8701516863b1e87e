/**
 * Who may connect, publish and subscribe.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { mqttListener } from "../../../receivers/mqtt-listener/index.ts";
import { readPasswords } from "../../../receivers/mqtt-listener/passwords.ts";
import { realFiles } from "../../../src/host/real-files.ts";
import { connected, mqttScene } from "../../support/mqtt-listener-scene.ts";
import { dialled, endScenes, mqttWireScene, turns } from "../../support/mqtt-wire.ts";
import { tlsFile, tlsPath } from "../../support/tls-files.ts";
import { committingUntil, until } from "../../support/websocket-scene.ts";

after(endScenes);

/** Made by `mosquitto_passwd` 2.0.11: the password of each is its own name backwards. */
const FILE = `# users
meter-7:$7$101$E9pvhnGO3lqFoFL7$YIoOD6SytYAXKW0lUQCRvFwIRy96EpxltdLkqCsANaptP7fvKkKd+pzm7idgwP8VC0guZTh0Xz7JAqWvilbZSw==
old:$6$2pz3o5z5P6iyuuRh$/itNC3xb3wwFGwvV4MvfxE2AdUosABizi7dPEqO3025S26iqPYExcyBWy97OAwFv7JOSbul2kFdJzUYHu6rF2g==
`;

async function passwordFile(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-mqtt-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "passwords");
  await writeFile(path, text);
  return path;
}

test("mqtt-listener: users of a password file are let in with their password only", async (t) => {
  const { engine, streams } = await mqttWireScene({
    anonymous: false,
    passwordFile: await passwordFile(t, FILE),
  });
  for (const [username, password, code] of [
    ["meter-7", "7-retem", 0],
    ["old", "dlo", 0],
    ["meter-7", "wrong", 4],
    ["meter-7", undefined, 4],
    ["nobody", "7-retem", 4],
    [undefined, undefined, 4],
  ] as const) {
    const wire = streams.dial().connect(`client-${code}`, {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) }),
    });
    await until(() => wire.packets.length === 1);
    assert.equal(wire.returnCode, code, `${username}:${password}`);
    await turns();
    assert.equal(wire.isClosed, code !== 0);
  }
  assert.deepEqual([...new Set(engine.codes)], ["CONNECTION_REFUSED"]);
  assert.ok(!engine.warnings.join().includes("7-retem"));
});

test("mqtt-listener: with a password file and anonymous, who shows a user has to prove it", async (t) => {
  const made = await mqttWireScene({ passwordFile: await passwordFile(t, FILE) });
  assert.equal((await dialled(made, "a")).returnCode, 0);
  const wire = made.streams.dial().connect("b", { username: "meter-7" });
  await until(() => wire.packets.length === 1);
  assert.equal(wire.returnCode, 4);
});

test("passwords: a file that is not there, too long, or has a line without a hash is refused", async (t) => {
  for (const [text, message] of [
    ["meter-7:plain\n", /no user with a hash .* in line 1/],
    ["\n# x\nmeter-7:$7$0$AAAA$AAAA\n", /in line 3/],
    [":$6$AAAA$AAAA", /in line 1/],
    [`a:$7$99999999$AAAA$${"A".repeat(86)}==`, /in line 1/],
  ] as const) {
    const path = await passwordFile(t, text);
    await assert.rejects(readPasswords("devices", realFiles, path), {
      code: "CONFIG_VALUE",
      message,
    });
  }
  await assert.rejects(readPasswords("devices", realFiles, "/nowhere/passwords"), {
    code: "CONFIG_VALUE",
    message: /cannot be read: ENOENT/,
    fix: "mosquitto_passwd -c -H sha512-pbkdf2 /nowhere/passwords USER",
  });
});

test("passwords: they are checked one at a time, and beyond the limit not at all", async (t) => {
  const passwords = await readPasswords("devices", realFiles, await passwordFile(t, FILE));
  const verdicts = await Promise.all(
    Array.from({ length: 1_005 }, () => passwords.check("meter-7", Buffer.from("7-retem"))),
  );
  assert.deepEqual(
    ["right", "busy"].map((verdict) => verdicts.filter((each) => each === verdict).length),
    [1_000, 5],
  );
});

test("mqtt-listener: a message that may not be published ends its connection, unacknowledged", async () => {
  const made = await mqttWireScene({ acl: [{ publish: ["devices/%c/#"] }] });
  const wire = await dialled(made, "a");
  wire.publish("fine", 1, 1, "devices/a/x");
  await turns();
  wire.publish("not mine", 1, 2, "devices/b/x");
  await turns();
  await made.engine.commit();
  await turns();
  assert.deepEqual([wire.isClosed, made.engine.durable], [true, ["fine"]]);
  assert.deepEqual(made.engine.codes, ["CONNECTION_REFUSED"]);
});

test("mqtt-listener: nobody subscribes unless a rule allows it", async (t) => {
  const closed = await mqttScene();
  t.after(closed.end);
  const refused = await closed.dial();
  await assert.rejects(refused.subscribeAsync("#"), /Unspecified error|Subscribe error/);
});

test("mqtt-listener: subscribers get what is published, behind the disk, and retained messages", async (t) => {
  const { engine, dial, end } = await mqttScene({
    acl: [{ publish: ["#"], subscribe: ["commands/%c", "state/#"] }],
  });
  t.after(end);
  const got: string[] = [];
  const device = await dial({ clientId: "meter-7" });
  device.on("message", (topic, payload) => got.push(`${topic} ${payload.toString()}`));
  const [granted] = await device.subscribeAsync("commands/meter-7", { qos: 1 });
  assert.equal(granted?.qos, 1);
  const other = await dial({ clientId: "other" });
  other.publish("commands/meter-7", "open", { qos: 1 });
  other.publish("state/a", "kept", { qos: 1, retain: true });
  await until(() => engine.inflightBlocks.flat().length === 2);
  await engine.clock.settle();
  assert.deepEqual(got, []);
  await committingUntil(engine, () => got.length === 1);
  await device.subscribeAsync("state/#");
  await until(() => got.length === 2);
  assert.deepEqual(got, ["commands/meter-7 open", "state/a kept"]);
  assert.deepEqual(engine.durable, ["open", "kept"]);
});

test("mqtt-listener: a client has so many subscriptions, and may leave some for others", async () => {
  const made = await mqttWireScene({ acl: [{ publish: ["none"], subscribe: ["#"] }] });
  for (const clean of [true, false]) {
    const wire = await dialled(made, "a", { clean });
    const ask = (from: number, count: number): void =>
      void wire.send({
        cmd: "subscribe",
        messageId: 1,
        subscriptions: Array.from({ length: count }, (_, i) => ({
          topic: `t/${from + i}`,
          qos: 1,
        })),
      });
    ask(0, 150);
    await turns();
    wire.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: ["t/0", "t/1"] });
    await turns();
    ask(50, 10);
    ask(200, 5);
    await turns();
    const granted = wire.packets.flatMap((packet) =>
      packet.cmd === "suback" ? [packet.granted.filter((each) => each === 1).length] : [],
    );
    assert.deepEqual(granted, [100, 10, 2]);
  }
});

test("mqtt-listener: a subscriber that reads nothing holds nobody up", async () => {
  const made = await mqttWireScene({
    acl: [{ publish: ["#"], subscribe: ["#"] }],
    messageBytesMax: 100_000,
  });
  const slow = await dialled(made, "slow");
  slow.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "#", qos: 0 }] });
  await turns();
  slow.stopReading();
  const wire = await dialled(made, "a");
  const payload = "x".repeat(50_000);
  for (let i = 1; i <= 50; i++) {
    wire.publish(payload, 1, i);
    await turns();
    await made.engine.commit();
  }
  await turns();
  assert.equal(wire.acknowledged("puback").length, 50);
});

test("mqtt-listener: a certificate with an empty name, or none, names nobody", async () => {
  const tls = {
    cert: tlsPath("first", "cert"),
    key: tlsPath("first", "key"),
    clientCa: tlsPath("first", "cert"),
  };
  const options = { anonymous: false, certificateIsUser: true, tls };
  const { streams } = await mqttWireScene(options);
  for (const [names, returnCode] of [
    [[], 4],
    [[""], 4],
    [["meter-7"], 0],
  ] as const) {
    const wire = streams.dial(names).connect("a");
    await turns();
    assert.equal(wire.returnCode, returnCode, JSON.stringify(names));
  }
});

test("mqtt-listener: a certificate's name is the user", async (t) => {
  const tls = {
    cert: tlsPath("first", "cert"),
    key: tlsPath("first", "key"),
    clientCa: tlsPath("first", "cert"),
  };
  const { engine, end } = await mqttScene({
    anonymous: false,
    certificateIsUser: true,
    tls,
    acl: [{ user: "meter-7", publish: ["devices/%u/#"] }],
  });
  t.after(end);
  const shown = { ca: tlsFile("first", "cert"), rejectUnauthorized: true };
  const url = `mqtts://127.0.0.1:${engine.port}`;
  const client = await connected(url, {
    ...shown,
    cert: tlsFile("client", "cert"),
    key: tlsFile("client", "key"),
  });
  client.publish("devices/meter-7/x", "1");
  await committingUntil(engine, () => engine.durable.length === 1);
  client.end(true);
  await assert.rejects(connected(url, shown));
});

test("mqtt-listener: client ids that cannot be kept are rejected", async () => {
  const { streams } = await mqttWireScene();
  for (const [clientId, clean, code] of [
    ["x".repeat(200), false, 0],
    ["x".repeat(201), false, 2],
    ["", true, 0],
  ] as const) {
    const wire = streams.dial().connect(clientId, { clean });
    await turns();
    assert.equal(wire.returnCode, code, `${clientId.length} characters`);
  }
  const nameless = streams.dial();
  nameless.bytes(Buffer.from("100c00044d5154540400003c0000", "hex"));
  await turns();
  assert.deepEqual([nameless.returnCode, nameless.isClosed], [2, true]);
});

test("mqtt-listener: other versions are told that they are not spoken", async () => {
  const { streams } = await mqttWireScene();
  const wire = streams.dial();
  // MQTT 5, as far as its header goes.
  wire.bytes(Buffer.from("100d00044d5154540502003c000000", "hex"));
  await turns();
  assert.deepEqual([wire.returnCode, wire.isClosed], [1, true]);
});

test("mqtt-listener: options that make no sense are refused", () => {
  for (const [options, code] of [
    [{}, "CONFIG_CONFLICT"],
    [{ certificateIsUser: true }, "CONFIG_CONFLICT"],
    [{ anonymous: true, acl: [{ publish: ["a/#/b"] }] }, "CONFIG_VALUE"],
    [{ anonymous: true, acl: [{ publish: ["devices/%i/#"] }] }, "CONFIG_VALUE"],
    [{ anonymous: true, acl: [] }, "CONFIG_CONFLICT"],
    [{ anonymous: true, acl: [{ user: "a", subscribe: ["#"] }] }, "CONFIG_CONFLICT"],
    [{ anonymous: true, host: "" }, "CONFIG_VALUE"],
    [{ anonymous: true, port: 1883, websocket: { port: 1883 } }, "CONFIG_CONFLICT"],
    [{ anonymous: true, websocket: { port: 1, origins: ["panel.example"] } }, "CONFIG_VALUE"],
    [{ anonymous: true, inflightMessagesMax: 0 }, "CONFIG_OUT_OF_RANGE"],
    [{ anonymous: true, allow: ["nonsense"] }, "CONFIG_VALUE"],
  ] as const)
    assert.throws(() => mqttListener("devices", { port: 0, ...options }), { code });
});

test("mqtt-listener: documented defaults are the defaults", () => {
  const { options, redelivers } = mqttListener("devices", { port: 1, anonymous: true });
  assert.deepEqual(options, {
    port: 1,
    host: "127.0.0.1",
    certificateIsUser: false,
    anonymous: true,
    acl: [{ publish: ["#"], subscribe: [] }],
    connectionsMax: 1_000,
    inflightMessagesMax: 100,
    messageBytesMax: 256 * 1024,
    unfinishedBytesMax: 32 * 2 ** 20,
  });
  assert.equal(redelivers, true);
});
