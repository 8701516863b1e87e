/**
 * docs/receiver-kafka.md: what it shows is what the receiver takes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kafkaOptions } from "../../../receivers/kafka/options.ts";
import { detailsOf } from "../../../src/schema.ts";
import { loaded } from "../../config/support.ts";
import { readText, repositoryRoot } from "../../support/repository.ts";

const page = readText(repositoryRoot(), "docs/receiver-kafka.md");

test("docs/receiver-kafka.md: the configuration is right as it stands", async () => {
  const [, yaml = ""] = /^```yaml\n(.*?)^```$/ms.exec(page) ?? [];
  const { receivers } = await loaded(yaml, {}, { KAFKA_PASSWORD: "wonderland" });
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

test("docs/receiver-kafka.md: every name with a capital in it is an option, or a field of records", () => {
  const names = new Set(
    Object.keys(detailsOf(kafkaOptions).fields ?? {}).map((name) =>
      name.replace(/(Bytes(?=Max)|Ms$)/, ""),
    ),
  );
  const told = Array.from(page.matchAll(/`([a-z]+[A-Z]\w*)(?:: \w+)?`/g), ([, name = ""]) => name);
  assert.deepEqual(
    told.filter((name) => !names.has(name) && name !== "timestampMs"),
    [],
  );
});
