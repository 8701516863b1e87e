/** The receiver with a real ingest at a real mosquitto. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { mqtt, type MqttInput } from "../../../receivers/mqtt/index.ts";
import { createIngest, type Ingest } from "../../../src/index.ts";
import { FaultProxy } from "../../../src/testing/index.ts";
import { Mosquitto, mosquittoSkip } from "../../services/mosquitto.ts";
import { eventually } from "../../support/deadline.ts";
import { silentLogger } from "../../support/logger.ts";
import { MqttPublisher } from "../../support/mqtt-publisher.ts";
import { type LoggedRecord, recordsOnDisk } from "../../support/records-on-disk.ts";
import { tlsPath } from "../../support/tls-files.ts";

const skip = mosquittoSkip();
const LIMITS = { everyMs: 5, deadlineMs: 15_000 };

/** A gateway with one mqtt receiver and a data directory, which may be stopped and started again. */
class Gateway implements AsyncDisposable {
  readonly #directory: string;
  readonly #options: MqttInput;
  #ingest: Ingest;

  private constructor(directory: string, options: MqttInput) {
    this.#directory = directory;
    this.#options = options;
    this.#ingest = this.#make();
  }

  static async start(broker: Mosquitto, options: Partial<MqttInput> = {}): Promise<Gateway> {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-mqtt-"));
    const isTls = options.tls !== undefined;
    const url = `${isTls ? "mqtts" : "mqtt"}://127.0.0.1:${broker.port}`;
    const gateway = new Gateway(directory, { url, topics: ["field/#"], ...options });
    await gateway.#ingest.start();
    return gateway;
  }

  get storedCount(): number {
    return this.#ingest.snapshot().log.nextOffset;
  }

  get unit(): { readonly status: string; readonly error: string } {
    const unit = this.#ingest.snapshot().units.find(({ unit: path }) => path === "receivers/field");
    const error = unit?.lastError;
    return {
      status: unit?.status ?? "",
      error: error !== undefined && "code" in error ? String(error.code) : "",
    };
  }

  async stored(count: number): Promise<void> {
    await eventually(`${count} records`, () => this.storedCount >= count, LIMITS);
  }

  /** Stops, and reads what is on disk. */
  async records(): Promise<readonly LoggedRecord[]> {
    await this.#ingest.stop();
    return recordsOnDisk(this.#directory);
  }

  async stop(): Promise<void> {
    await this.#ingest.stop();
  }

  async startAgain(): Promise<void> {
    this.#ingest = this.#make();
    await this.#ingest.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ingest.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #make(): Ingest {
    return createIngest({
      directory: this.#directory,
      receivers: [mqtt("field", this.#options)],
      pipelines: [],
      logger: silentLogger,
    });
  }
}

for (const protocolVersion of [4, 5] as const)
  test(`mosquitto, mqtt ${protocolVersion}: QoS 0, 1 and 2 over wildcards, topic and payload as they were sent`, {
    skip,
  }, async () => {
    await using broker = await Mosquitto.start();
    await using gateway = await Gateway.start(broker, {
      protocolVersion,
      qos: 2,
      topics: ["field/+/t", "all/#"],
    });
    await using publisher = await MqttPublisher.connect(broker.port);
    const sent: string[][] = [];
    for (const qos of [0, 1, 2] as const)
      for (const topic of ["field/é/t", "all", "all/deep/down"]) {
        await publisher.publish(topic, `${qos} ${topic}`, { qos });
        sent.push([topic, `${qos} ${topic}`]);
      }
    await publisher.publish("field/a/other", "not subscribed");
    await publisher.publish("all/empty", "");
    await gateway.stored(10);
    const records = await gateway.records();
    assert.deepEqual(
      records.map(({ key, value }) => [key, value]),
      [...sent, ["all/empty", ""]],
    );
    assert.ok(records.every(({ headers }) => headers === undefined));
  });

test("mosquitto: user properties and what comes with them become headers, retained messages are flagged", {
  skip,
}, async () => {
  await using broker = await Mosquitto.start();
  await using publisher = await MqttPublisher.connect(broker.port);
  await publisher.publish("field/kept", "before", { retain: true });
  await using gateway = await Gateway.start(broker);
  await gateway.stored(1);
  await publisher.publish("field/1", "v", {
    properties: {
      userProperties: { unit: "C", tag: ["a", "b"] },
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from("id"),
    },
  });
  await gateway.stored(2);
  const [retained, live] = await gateway.records();
  assert.deepEqual(retained?.headers, { "mqtt.retained": "true" });
  assert.deepEqual(live?.headers, {
    unit: "C",
    tag: "a\nb",
    "mqtt.content-type": "text/plain",
    "mqtt.response-topic": "answers",
    "mqtt.correlation-data": "aWQ=",
  });
});

for (const protocolVersion of [4, 5] as const)
  test(`mosquitto, mqtt ${protocolVersion}: what is published while the gateway is away comes when it is back, and retained messages do not come again`, {
    skip,
  }, async () => {
    await using broker = await Mosquitto.start({ persistence: true });
    await using publisher = await MqttPublisher.connect(broker.port);
    await publisher.publish("field/kept", "retained", { retain: true });
    await using gateway = await Gateway.start(broker, { protocolVersion, qos: 2 });
    await gateway.stored(1);
    await gateway.stop();
    for (let i = 0; i < 50; i++)
      await publisher.publish("field/1", `away ${i}`, { qos: i % 2 === 0 ? 1 : 2 });
    await gateway.startAgain();
    await gateway.stored(51);
    // The broker may go meanwhile, too.
    await gateway.stop();
    await broker.stop();
    await broker.startAgain();
    await publisher.publish("field/1", "last");
    await gateway.startAgain();
    await gateway.stored(52);
    const records = await gateway.records();
    assert.deepEqual(
      records.map(({ value }) => value),
      ["retained", ...Array.from({ length: 50 }, (_, i) => `away ${i}`), "last"],
    );
  });

test("mosquitto: a shared subscription gives each message to one of two gateways", {
  skip,
}, async () => {
  await using broker = await Mosquitto.start();
  const topics = ["$share/gateways/field/#"];
  await using one = await Gateway.start(broker, { topics });
  await using two = await Gateway.start(broker, { topics });
  await using publisher = await MqttPublisher.connect(broker.port);
  const sent = Array.from({ length: 100 }, (_, i) => `${i}`);
  for (const payload of sent) await publisher.publish("field/1", payload);
  await eventually("all of them", () => one.storedCount + two.storedCount >= 100, LIMITS);
  const [ofOne, ofTwo] = [await one.records(), await two.records()];
  assert.ok(ofOne.length > 0 && ofTwo.length > 0);
  const all = [...ofOne, ...ofTwo].map(({ value }) => value);
  assert.deepEqual(all.toSorted(), sent.toSorted());
});

test("mosquitto: the will is published when the connection breaks, and not when the gateway stops", {
  skip,
}, async () => {
  await using broker = await Mosquitto.start();
  await using watcher = await Gateway.start(broker, { topics: ["gateways/#"] });
  await using proxy = await FaultProxy.start({ target: { host: "127.0.0.1", port: broker.port } });
  const will = { topic: "gateways/7", payload: "gone", qos: 1 };
  await using orderly = await Gateway.start(broker, { will: { ...will, payload: "stopped" } });
  await orderly.stop();
  await using cut = await Gateway.start(broker, {
    will,
    url: `mqtt://127.0.0.1:${proxy.endpoint.port}`,
  });
  proxy.strike({ kind: "reset" });
  await watcher.stored(1);
  await eventually("connected again", () => cut.unit.status === "running", LIMITS);
  const records = await watcher.records();
  assert.deepEqual(
    records.map(({ value }) => value),
    ["gone"],
  );
});

test("mosquitto: TLS with a client certificate; without one, and with a stranger's, the receiver is parked", {
  skip,
}, async () => {
  await using broker = await Mosquitto.start({ tls: "mutual" });
  const ca = tlsPath("first", "cert");
  const client = { cert: tlsPath("client", "cert"), key: tlsPath("client", "key") };
  const stranger = { cert: tlsPath("second", "cert"), key: tlsPath("second", "key") };
  await using gateway = await Gateway.start(broker, {
    tls: { ca, ...client },
    will: { topic: "field/will" },
  });
  assert.equal(gateway.unit.status, "running");
  for (const tls of [{ ca }, { ca, ...stranger }, {}]) {
    const other = await Gateway.start(broker, { tls });
    await eventually("parked", () => other.unit.status === "parked", LIMITS);
    assert.equal(other.unit.error, "CONNECTION_UNTRUSTED");
    await other[Symbol.asyncDispose]();
  }
});

for (const protocolVersion of [4, 5] as const)
  test(`mosquitto, mqtt ${protocolVersion}: the right password is let in, a wrong one parks at once`, {
    skip,
  }, async () => {
    await using broker = await Mosquitto.start({ users: { seven: "right" } });
    const gateway = await Gateway.start(broker, {
      protocolVersion,
      username: "seven",
      password: "right",
    });
    assert.equal(gateway.unit.status, "running");
    await gateway[Symbol.asyncDispose]();
    for (const credentials of [{ username: "seven", password: "wrong" }, {}]) {
      await using refused = await Gateway.start(broker, { protocolVersion, ...credentials });
      assert.equal(refused.unit.status, "parked");
      assert.equal(refused.unit.error, "MQTT_UNAUTHORIZED");
    }
  });

test("mosquitto: a connection that says nothing any more is found by its pings and replaced", {
  skip,
}, async () => {
  await using broker = await Mosquitto.start();
  await using proxy = await FaultProxy.start({ target: { host: "127.0.0.1", port: broker.port } });
  await using gateway = await Gateway.start(broker, {
    url: `mqtt://127.0.0.1:${proxy.endpoint.port}`,
    keepAliveMs: 1_000,
  });
  proxy.strike({ kind: "black-hole" });
  await eventually("found", () => gateway.unit.error === "CONNECTION_STALLED", LIMITS);
  await eventually("connected again", () => gateway.unit.status === "running", LIMITS);
  await using publisher = await MqttPublisher.connect(broker.port);
  await publisher.publish("field/1", "after");
  await gateway.stored(1);
});

test("mosquitto: a broker that goes away and comes back is connected to again", {
  skip,
}, async () => {
  await using broker = await Mosquitto.start({ persistence: true });
  await using gateway = await Gateway.start(broker);
  await using publisher = await MqttPublisher.connect(broker.port);
  for (let round = 0; round < 3; round++) {
    await publisher.publish("field/1", `${round}`);
    await gateway.stored(round + 1);
    await broker.stop();
    await eventually("told", () => gateway.unit.status !== "running", LIMITS);
    await broker.startAgain();
    await eventually("connected again", () => gateway.unit.status === "running", LIMITS);
  }
  const records = await gateway.records();
  assert.deepEqual(
    records.map(({ value }) => value),
    ["0", "1", "2"],
  );
});
