import assert from "node:assert/strict";
import { test } from "node:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { oneForOne } from "../supervisors/index.ts";
import type { ReceiverContext } from "../src/contract/receiver.ts";
import { defineReceiver } from "../src/define-receiver.ts";
import { HoldfastError } from "../src/errors.ts";
import { detailsOf, schema } from "../src/schema.ts";
import { ReceiverHarness } from "./support/receiver-harness.ts";

const opened: ReceiverContext<unknown>[] = [];
const probe = defineReceiver({
  type: "probe",
  redelivers: ({ mode }) => mode === "a",
  options: schema.object({
    port: schema.port(),
    mode: schema.withDefault(schema.oneOf("a", "b"), "a"),
    intervalMs: schema.durationMs({ default: 1_000, min: 100 }),
    auth: schema.optional(schema.object({ token: schema.secret() })),
  }),
  check({ port, mode }) {
    if (mode === "b" && port === 1)
      throw new HoldfastError("CONFIG_CONFLICT", "mode b has no port 1");
  },
  open: async (context) => {
    opened.push(context);
    return { close: () => undefined };
  },
});

test("defineReceiver: makes a frozen value with its name, options and what every receiver has", () => {
  const strategy = oneForOne({ maxRestarts: 3, withinMs: 1_000 });
  const receiver = probe("meters", { port: 9, supervision: strategy, ingestRateMax: 5 });
  assert.equal(Object.isFrozen(receiver), true);
  const { kind, name, type, redelivers, options, common } = receiver;
  assert.deepEqual([kind, name, type, redelivers], ["receiver", "meters", "probe", true]);
  assert.deepEqual(options, { port: 9, mode: "a", intervalMs: 1_000 });
  assert.deepEqual(common, {
    supervision: strategy,
    ingestRateMax: 5,
    inflightBytesMax: 8 * 2 ** 20,
    storeTimeoutMs: 30_000,
  });
  assert.equal(probe("x", { port: 1, intervalMs: 100 }).redelivers, true);
  assert.equal(probe("x", { port: 2, mode: "b" }).redelivers, false);
});

test("defineReceiver: how long it may be silent comes from its options", () => {
  const pinged = defineReceiver({
    type: "pinged",
    redelivers: true,
    options: schema.object({ pingMs: schema.durationMs({ default: 1_000 }) }),
    aliveWithinMs: ({ pingMs }) => 3 * pingMs,
    open: async () => ({ close: () => undefined }),
  });
  assert.equal(pinged("x", { pingMs: 500 }).aliveWithinMs, 1_500);
  assert.equal("aliveWithinMs" in probe("x", { port: 1 }), false);
});

test("defineReceiver: open gets the context with the checked options", async () => {
  const harness = new ReceiverHarness({});
  await harness.open(probe("meters", { port: 9 }));
  assert.deepEqual(opened.at(-1)?.options, { port: 9, mode: "a", intervalMs: 1_000 });
});

test("defineReceiver: its definition tells a configuration file every option, common ones too", () => {
  const { type, options } = probe.definition;
  assert.equal(type, "probe");
  assert.deepEqual(Object.keys(detailsOf(options).fields ?? {}), [
    "port",
    "mode",
    "intervalMs",
    "auth",
    "ingestRateMax",
    "inflightBytesMax",
    "storeTimeoutMs",
  ]);
});

/** What JavaScript callers pass in spite of the types. */
const untyped = (options: unknown): { readonly port: number } => Object(options);

const refused: readonly [
  name: string,
  make: () => unknown,
  code: string,
  message: string,
  fix?: string,
][] = [
  [
    "a name with capitals",
    () => probe("Meters", { port: 1 }),
    "CONFIG_VALUE",
    'name of probe is "Meters", allowed is ^[a-z][a-z0-9-]{0,62}$',
  ],
  [
    "a name of 64 letters",
    () => probe("a".repeat(64), { port: 1 }),
    "CONFIG_VALUE",
    `name of probe is "${"a".repeat(64)}", allowed is ^[a-z][a-z0-9-]{0,62}$`,
  ],
  [
    "no options",
    () => probe("m", untyped(undefined)),
    "CONFIG_KEY_MISSING",
    'probe "m" lacks "port": a port (1 to 65535, or 0 for a free one)',
  ],
  [
    "a port out of range",
    () => probe("m", { port: 90_000 }),
    "CONFIG_OUT_OF_RANGE",
    'probe "m": port is 90000, allowed are 1 to 65535, or 0 for a free one',
  ],
  [
    "a wrong type",
    () => probe("m", untyped({ port: "x" })),
    "CONFIG_TYPE",
    'probe "m": port is "x", wanted a port (1 to 65535, or 0 for a free one)',
  ],
  [
    "a value that is none",
    () => probe("m", untyped({ port: 1, mode: "c" })),
    "CONFIG_VALUE",
    'probe "m": mode is "c", wanted one of a, b',
  ],
  [
    "a slip in a key",
    () => probe("m", untyped({ port: 1, intervalMS: 5 })),
    "CONFIG_KEY_UNKNOWN",
    'probe "m" has no option "intervalMS"',
    'did you mean "intervalMs"?',
  ],
  [
    "a slip in a common key",
    () => probe("m", untyped({ port: 1, supervison: 5 })),
    "CONFIG_KEY_UNKNOWN",
    'probe "m" has no option "supervison"',
    'did you mean "supervision"?',
  ],
  [
    "a slip deep inside",
    () => probe("m", untyped({ port: 1, auth: { token: "s", tokn: 1 } })),
    "CONFIG_KEY_UNKNOWN",
    'probe "m" has no option "auth.tokn"',
    'did you mean "token"?',
  ],
  [
    "a secret of a wrong type, unseen",
    () => probe("m", untyped({ port: 1, auth: { token: 12_345 } })),
    "CONFIG_TYPE",
    'probe "m": auth.token is a secret that is number, wanted text',
  ],
  [
    "a common option out of range",
    () => probe("m", { port: 1, inflightBytesMax: 1 }),
    "CONFIG_OUT_OF_RANGE",
    'probe "m": inflightBytesMax is 1, allowed are 65536 to 1073741824',
  ],
  [
    "a supervision that is none",
    () => probe("m", untyped({ port: 1, supervision: {} })),
    "CONFIG_TYPE",
    'probe "m": supervision is no strategy',
    "oneForOne({ maxRestarts: 10, withinMs: 60_000 })",
  ],
  [
    "a combination",
    () => probe("m", { port: 1, mode: "b" }),
    "CONFIG_CONFLICT",
    "mode b has no port 1",
  ],
];
for (const [name, make, code, message, fix] of refused) {
  test(`defineReceiver: refuses ${name}`, () => {
    assert.throws(make, fix === undefined ? { code, message } : { code, message, fix });
  });
}

test("defineReceiver: a type may not take over what every receiver has", () => {
  const options = schema.object({ storeTimeoutMs: schema.integer() });
  const open = async (): Promise<{ close: () => void }> => ({ close: () => undefined });
  assert.throws(() => defineReceiver({ type: "t", redelivers: true, options, open }), {
    code: "CONFIG_CONFLICT",
  });
  assert.throws(
    () => defineReceiver({ type: "T", redelivers: true, options: schema.object({}), open }),
    { code: "CONFIG_VALUE" },
  );
});

test("defineReceiver: takes any Standard Schema, which judges its own keys", () => {
  const options: StandardSchemaV1<{ readonly url: string }, unknown> = {
    "~standard": {
      version: 1,
      vendor: "somebody",
      validate: (value: unknown) =>
        typeof value === "object" && value !== null && "url" in value
          ? { value }
          : { issues: [{ message: "no url" }] },
    },
  };
  const open = async (): Promise<{ close: () => void }> => ({ close: () => undefined });
  const foreign = defineReceiver({ type: "foreign", redelivers: true, options, open });
  assert.deepEqual(foreign("f", { url: "u" }).options, { url: "u" });
  const refusal = { code: "CONFIG_VALUE", message: 'foreign "f": no url' };
  assert.throws(() => foreign("f", Object({})), refusal);
});
