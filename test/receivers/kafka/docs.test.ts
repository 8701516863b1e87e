/**
 * docs/receiver-kafka.md: what it shows is what the receiver takes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kafkaDirectOptions, kafkaOptions } from "../../../receivers/kafka/options.ts";
import { detailsOf } from "../../../src/schema.ts";
import { loaded } from "../../config/support.ts";
import { readText, repositoryRoot } from "../../support/repository.ts";

const page = readText(repositoryRoot(), "docs/receiver-kafka.md");
const [receiverYaml = "", sourceYaml = ""] = Array.from(
  page.matchAll(/^```yaml\n(.*?)^```$/gms),
  ([, yaml = ""]) => yaml,
);

/** Of records, of pipelines, and the factory's. */
const ELSEWHERE = new Set([
  "timestampMs",
  "batchRecordsMax",
  "batchBytesMax",
  "startAt",
  "kafkaDirect",
]);

test("docs/receiver-kafka.md: the configuration is right as it stands", async () => {
  const { receivers } = await loaded(receiverYaml, {}, { KAFKA_PASSWORD: "wonderland" });
  const [receiver] = receivers;
  assert.equal(receiver?.type, "kafka");
  const options: unknown = receiver?.options;
  assert.ok(typeof options === "object" && options !== null && "sasl" in options);
  assert.deepEqual(options.sasl, {
    mechanism: "scram-sha-512",
    username: "gateway-7",
    password: "wonderland",
  });
});

test("docs/receiver-kafka.md: a source is configured as it stands, and read by its pipeline", async () => {
  const { pipelines } = await loaded(sourceYaml, {}, { KAFKA_PASSWORD: "wonderland" });
  const [copy] = pipelines;
  assert.equal(copy?.source?.type, "kafka");
  assert.equal(copy.batchRecordsMax, 50_000);
  const options: unknown = copy.source.options;
  assert.ok(typeof options === "object" && options !== null && "pollMs" in options);
  assert.deepEqual([options.pollMs, Reflect.get(options, "refreshMs")], [250, 30_000]);
});

test("docs/receiver-kafka.md: every name with a capital in it is an option, or a field of records", () => {
  const names = new Set(
    [kafkaOptions, kafkaDirectOptions]
      .flatMap((options) => Object.keys(detailsOf(options).fields ?? {}))
      .map((name) => name.replace(/(Bytes(?=Max)|Ms$)/, "")),
  );
  const told = Array.from(page.matchAll(/`([a-z]+[A-Z]\w*)(?:: \w+)?`/g), ([, name = ""]) => name);
  assert.deepEqual(
    told.filter((name) => !names.has(name) && !ELSEWHERE.has(name)),
    [],
  );
});
