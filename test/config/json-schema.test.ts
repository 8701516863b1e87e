import { deepEqual, equal, ok } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { CONFIG_TEMPLATE } from "../../src/cli/templates.ts";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { receiverTypes, sinkTypes } from "../../src/config/registry.ts";
import { yamlName } from "../../src/config/type-options.ts";
import { detailsOf } from "../../src/schema.ts";
import { load } from "./support.ts";

test("json schema: every type with its options under their names in the file", async () => {
  const root = JSON.parse(JSON.stringify(await configJsonSchema()));
  deepEqual(Object.keys(root.properties), [
    "version",
    "data",
    "log",
    "supervision",
    "receivers",
    "sources",
    "sinks",
    "pipelines",
    "console",
  ]);
  const types = root.properties.receivers.additionalProperties.anyOf;
  const tcp = types.find(
    (each: { readonly properties: { readonly type: { readonly const?: string } } }) =>
      each.properties.type.const === "tcp",
  );
  deepEqual(tcp.required, ["type", "port"]);
  for (const key of [
    "port",
    "acknowledge",
    "idleTimeout",
    "messageMax",
    "inflightMax",
    "supervision",
  ])
    ok(key in tcp.properties, key);
  deepEqual(
    [tcp.properties.acknowledge.enum, tcp.properties.idleTimeout.default],
    [["none", "count-line", "count-bytes"], "15m"],
  );
  equal(tcp.additionalProperties, false);
});

for (const [kind, types] of [
  ["receivers", receiverTypes],
  ["sinks", sinkTypes],
] as const)
  test(`json schema: options of ${kind} have a name each in the file`, async () => {
    for (const type of types.names) {
      const factory = await types.load(type);
      const fields = factory === undefined ? undefined : detailsOf(factory.options).fields;
      const names = Object.entries(fields ?? {}).map(([name, field]) => yamlName(name, field));
      deepEqual(names, [...new Set(names)], type);
    }
  });

test("json schema: takes what the loader takes, and refuses what it refuses", async () => {
  const editor = z.fromJSONSchema(JSON.parse(JSON.stringify(await configJsonSchema())));
  const gateway = await readFile(
    new URL("../../../examples/gateway/holdfast.yaml", import.meta.url),
    "utf8",
  );
  const right = [
    gateway,
    CONFIG_TEMPLATE,
    "version: 1\nreceivers: { m: { type: ./own.js#mine, anything: 1 } }",
    "version: 1\nsources: { m: { type: ./own.js#mine, anything: 1 } }",
  ];
  const wrong = [
    "version: 2\nreceivers: {}",
    "version: 1",
    "version: 1\nreceivers: { m: { type: tcp } }",
    "version: 1\nreceivers: { m: { type: tcp, port: 1, supervison: x } }",
    "version: 1\nreceivers: { m: { type: tcp, port: 90000 } }",
    "version: 1\nreceivers: { m: { type: tcp, port: 1, idleTimeout: 10 } }",
    "version: 1\nreceivers: { M: { type: rate } }",
    "version: 1\nreceivers: {}\npipelines: { p: { from: a, sinks: b, trigger: soon } }",
  ];
  deepEqual(
    right.map((text) => editor.safeParse(parse(text)).success),
    right.map(() => true),
  );
  deepEqual(
    wrong.map((text) => editor.safeParse(parse(text)).success),
    wrong.map(() => false),
  );
  for (const text of wrong) equal((await load(text)).kind, "invalid");
});
