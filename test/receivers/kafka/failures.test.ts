/**
 * What kafkajs and brokers report, as codes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import kafkajs from "kafkajs";
import { classify, isRebalancing } from "../../../receivers/kafka/failures.ts";
import { CODES, HoldfastError } from "../../../src/errors.ts";

/** As a broker's answer becomes one. */
function protocolError(type: string, retriable: boolean): Error {
  return Object.assign(new Error(`the broker says ${type}`), {
    name: "KafkaJSProtocolError",
    type,
    retriable,
  });
}

/** As kafkajs wraps what its own retries could not mend. */
function exhausted(cause: Error): Error {
  return Object.assign(new Error(cause.message, { cause }), {
    name: "KafkaJSNumberOfRetriesExceeded",
    retriable: false,
  });
}

const CASES: readonly (readonly [title: string, error: unknown, code: string])[] = [
  [
    "a wrong password",
    Object.assign(new Error("no"), { name: "KafkaJSSASLAuthenticationError" }),
    "KAFKA_UNAUTHORIZED",
  ],
  [
    "a wrong password, told by the broker",
    protocolError("SASL_AUTHENTICATION_FAILED", false),
    "KAFKA_UNAUTHORIZED",
  ],
  [
    "an access list",
    exhausted(protocolError("TOPIC_AUTHORIZATION_FAILED", true)),
    "KAFKA_UNAUTHORIZED",
  ],
  [
    "no such topic",
    exhausted(protocolError("UNKNOWN_TOPIC_OR_PARTITION", true)),
    "KAFKA_TOPIC_UNKNOWN",
  ],
  [
    "a session timeout the broker forbids",
    protocolError("INVALID_SESSION_TIMEOUT", true),
    "KAFKA_GROUP_REFUSED",
  ],
  [
    "members of another kind",
    protocolError("INCONSISTENT_GROUP_PROTOCOL", true),
    "KAFKA_GROUP_REFUSED",
  ],
  [
    "a coordinator that moves",
    exhausted(protocolError("NOT_COORDINATOR_FOR_GROUP", true)),
    "KAFKA_FAILED",
  ],
  ["anything else", new TypeError("undefined is not a function"), "KAFKA_FAILED"],
  ["no error at all", "thrown", "KAFKA_FAILED"],
  [
    "a refused connection, which kafkajs calls final",
    exhausted(
      Object.assign(new kafkajs.KafkaJSConnectionError("refused"), {
        code: "ECONNREFUSED",
        retriable: false,
      }),
    ),
    "CONNECTION_FAILED",
  ],
  [
    "a certificate that nobody knows",
    exhausted(
      Object.assign(new kafkajs.KafkaJSConnectionError("self-signed"), {
        code: "DEPTH_ZERO_SELF_SIGNED_CERT",
      }),
    ),
    "CONNECTION_UNTRUSTED",
  ],
  [
    "a broker that does not answer",
    Object.assign(new Error("timed out"), { name: "KafkaJSRequestTimeoutError" }),
    "CONNECTION_STALLED",
  ],
  [
    "an error of ours in the middle",
    exhausted(new HoldfastError("KAFKA_CODEC_MISSING", "no zstd")),
    "KAFKA_CODEC_MISSING",
  ],
];

for (const [title, error, code] of CASES)
  test(`kafka failures: ${title} is ${code}`, () => {
    const classified = classify("orders: broker:9092", error);
    assert.equal(classified.code, code);
    const isPermanent =
      /^(KAFKA_UNAUTHORIZED|KAFKA_TOPIC|KAFKA_GROUP|KAFKA_CODEC|CONNECTION_UNTRUSTED)/.test(code);
    assert.equal(CODES[classified.code].retried, !isPermanent);
  });

test("kafka failures: causes that go in a circle end", () => {
  const first = new Error("first");
  const second = new Error("second", { cause: first });
  first.cause = second;
  assert.equal(classify("orders", first).code, "KAFKA_FAILED");
});

test("kafka failures: a group that joins again is none", () => {
  for (const type of ["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"])
    assert.ok(isRebalancing(exhausted(protocolError(type, false))), type);
  assert.ok(!isRebalancing(protocolError("TOPIC_AUTHORIZATION_FAILED", false)));
  assert.ok(!isRebalancing("thrown"));
});
