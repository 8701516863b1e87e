/** What docs/receiver-mqtt.md shows is what there is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mqtt } from "../../../receivers/mqtt/index.ts";
import { loaded } from "../../config/support.ts";
import { readText, repositoryRoot } from "../../support/repository.ts";

const page = readText(repositoryRoot(), "docs/receiver-mqtt.md");

function block(language: string): string {
  const code = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "ms").exec(page)?.[1];
  assert.ok(code !== undefined, `a block of ${language}`);
  return code;
}

test("docs/receiver-mqtt.md: the configuration is read as it stands there", async () => {
  const text = `version: 1\ndata: ./data\n${block("yaml")}`;
  const { receivers } = await loaded(text, {}, { MQTT_PASSWORD: "hunter2" });
  const [field] = receivers;
  assert.equal(field?.type, "mqtt");
  const shown = JSON.parse(JSON.stringify(field.options));
  assert.deepEqual(shown.topics, [{ filter: "meters/+/readings" }, { filter: "alarms/#", qos: 2 }]);
  assert.deepEqual(shown.will, { topic: "gateways/7", payload: "gone", qos: 1, retain: true });
  assert.equal(shown.password, "hunter2");
});

test("docs/receiver-mqtt.md: the code makes a receiver", () => {
  assert.match(block("ts"), /^import \{ mqtt \} from "holdfast\/receivers\/mqtt";$/m);
  // The same call as there, as text and as code.
  const call = `mqtt("field", { url: "mqtt://127.0.0.1", topics: ["meters/+/readings", { filter: "alarms/#", qos: 2 }] })`;
  assert.ok(block("ts").includes(`const field = ${call};`));
  const field = mqtt("field", {
    url: "mqtt://127.0.0.1",
    topics: ["meters/+/readings", { filter: "alarms/#", qos: 2 }],
  });
  assert.equal(field.type, "mqtt");
});

test("docs/receiver-mqtt.md: the defaults are those of the options", () => {
  const { options } = mqtt("field", { url: "mqtt://broker", topics: ["a"] });
  const shown = JSON.parse(JSON.stringify(options));
  assert.match(page, /`payloadMax` 1 MiB/);
  assert.equal(shown.payloadBytesMax, 1024 * 1024);
  assert.match(page, /`receiveMaximum` 1,000/);
  assert.equal(shown.receiveMaximum, 1_000);
  assert.match(page, /`keepAlive` 30 s/);
  assert.equal(shown.keepAliveMs, 30_000);
  assert.match(page, /`sessionExpiry` \(7 days\)/);
  assert.equal(shown.sessionExpiryMs, 7 * 86_400_000);
});
