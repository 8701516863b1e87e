import assert from "node:assert/strict";
import { test } from "node:test";
import { mqtt, type MqttInput } from "../../../receivers/mqtt/index.ts";
import { brokerOf, mqttOptions } from "../../../receivers/mqtt/options.ts";
import { checkFilter } from "../../../receivers/mqtt/subscriptions.ts";
import { checkOptions } from "../../../src/schema.ts";
import { tlsPath } from "../../support/tls-files.ts";

const URL_ONLY: MqttInput = { url: "mqtt://broker", topics: ["a/#"] };

function resolved(input: MqttInput): ReturnType<typeof brokerOf> {
  const checked = checkOptions(mqttOptions, input);
  assert.equal(checked.issues, undefined);
  if (checked.issues !== undefined) throw new Error("the options are wrong");
  return brokerOf(checked.value);
}

test("mqtt options: a url, or host and port, with the port that belongs to TLS", () => {
  const topics = ["a"];
  const cases: readonly (readonly [MqttInput, string, number, boolean])[] = [
    [{ url: "mqtt://broker", topics }, "broker", 1883, false],
    [{ url: "mqtt://broker:2883/", topics }, "broker", 2883, false],
    [{ url: "mqtts://broker", topics }, "broker", 8883, true],
    [{ url: "mqtts://[::1]:9883", topics }, "::1", 9883, true],
    [{ host: "broker", topics }, "broker", 1883, false],
    [{ host: "broker", port: 5, topics }, "broker", 5, false],
    [{ host: "broker", tls: {}, topics }, "broker", 8883, true],
  ];
  for (const [input, host, port, isTls] of cases) {
    const broker = resolved(input);
    assert.deepEqual([broker.host, broker.port, broker.tls !== undefined], [host, port, isTls]);
  }
});

test("mqtt options: what cannot be meant is refused, and a password in a url is not repeated", () => {
  const wrong: readonly (readonly [Partial<MqttInput>, string])[] = [
    [{ url: "mqtt://me:hunter2@broker" }, "CONFIG_VALUE"],
    [{ url: "http://broker" }, "CONFIG_VALUE"],
    [{ url: "broker:1883" }, "CONFIG_VALUE"],
    [{ url: "mqtt://broker/path" }, "CONFIG_VALUE"],
    [{ host: "broker" }, "CONFIG_CONFLICT"],
    [{ port: 1883 }, "CONFIG_CONFLICT"],
    [{ tls: {} }, "CONFIG_CONFLICT"],
    [{ url: "mqtts://broker", tls: { cert: tlsPath("client", "cert") } }, "CONFIG_CONFLICT"],
    [{ protocolVersion: 4, password: "hunter2" }, "CONFIG_CONFLICT"],
    [{ topics: [] }, "CONFIG_VALUE"],
    [{ topics: ["a/#/b"] }, "CONFIG_VALUE"],
    [{ qos: 3 }, "CONFIG_OUT_OF_RANGE"],
    [{ protocolVersion: 3 }, "CONFIG_VALUE"],
    [{ receiveMaximum: 0 }, "CONFIG_OUT_OF_RANGE"],
    [{ keepAliveMs: 10 }, "CONFIG_OUT_OF_RANGE"],
    [{ will: { topic: "a/#" } }, "CONFIG_VALUE"],
  ];
  for (const [options, code] of wrong)
    assert.throws(
      () => mqtt("field", { ...URL_ONLY, ...options }),
      (error: unknown) =>
        error instanceof Error &&
        "code" in error &&
        error.code === code &&
        !error.message.includes("hunter2"),
      JSON.stringify(options),
    );
  for (const [url, message] of [
    ["tcp://broker:1883", "mqtt: url begins with tcp://, wanted mqtt:// or mqtts://"],
    ["broker:1883", "mqtt: url begins with no scheme, wanted mqtt:// or mqtts://"],
  ] as const)
    assert.throws(() => mqtt("field", { ...URL_ONLY, url }), { code: "CONFIG_VALUE", message });
  assert.throws(() => mqtt("field", { topics: ["a"] }), { code: "CONFIG_CONFLICT" });
});

test("mqtt options: the defaults are those that the docstrings name", () => {
  const checked = checkOptions(mqttOptions, URL_ONLY);
  assert.deepEqual(checked.issues === undefined && checked.value, {
    url: "mqtt://broker",
    topics: [{ filter: "a/#" }],
    protocolVersion: 5,
    qos: 1,
    cleanSession: false,
    sessionExpiryMs: 7 * 86_400_000,
    receiveMaximum: 1_000,
    keepAliveMs: 30_000,
    headers: true,
    payloadBytesMax: 1_048_576,
  });
});

test("mqtt options: a host is a name or an address", () => {
  for (const host of ["broker", "broker.example", "127.0.0.1", "::1", "fe80::1%eth0"])
    assert.equal(resolved({ host, topics: ["a"] }).host, host);
  for (const host of ["", " ", "mqtt://broker", "broker:1883", "[::1]", "user@broker", "broker/"])
    assert.throws(() => mqtt("field", { host, topics: ["a"] }), { code: "CONFIG_VALUE" }, host);
  assert.throws(() => mqtt("field", { url: "mqtt://broker:0", topics: ["a"] }), {
    code: "CONFIG_VALUE",
  });
});

test("mqtt options: filters", () => {
  for (const right of [
    "a",
    "/",
    "#",
    "+",
    "+/+/#",
    "a/+/b",
    "$SYS/#",
    "$share/g/a/#",
    "$share/g/#",
    "/a",
    "$share/g//a",
  ])
    checkFilter(right);
  for (const wrong of [
    "",
    "a#",
    "a/#/b",
    "a+/b",
    "$share",
    "$share/g",
    "$share/g/",
    "$share//a",
    "$share/+/a",
    "a\0b",
    "x".repeat(65_536),
  ])
    assert.throws(() => checkFilter(wrong), { code: "CONFIG_VALUE" }, wrong.slice(0, 20));
});

test("mqtt options: it redelivers where the broker keeps the session", () => {
  assert.equal(mqtt("field", URL_ONLY).redelivers, true);
  assert.equal(mqtt("field", { ...URL_ONLY, sessionExpiryMs: 0 }).redelivers, false);
  assert.equal(
    mqtt("field", { ...URL_ONLY, sessionExpiryMs: 0, protocolVersion: 4 }).redelivers,
    true,
  );
  assert.equal(
    mqtt("field", { ...URL_ONLY, cleanSession: true, protocolVersion: 4 }).redelivers,
    false,
  );
});

test("mqtt options: silence of three keep-alives is a failure", () => {
  assert.equal(mqtt("field", { ...URL_ONLY, keepAliveMs: 10_000 }).aliveWithinMs, 30_000);
});
