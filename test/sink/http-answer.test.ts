import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import {
  judgeAnswer,
  RETRY_AFTER_MS_MAX,
  retryAfterMs,
  type Verdict,
} from "../../src/sink/http-answer.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const ASKING = { title: "store: POST http://s/rows", wallMs: NOW_MS, secrets: ["hunter2", ""] };

function judge(status: number, headers: Record<string, string> = {}, body = ""): Verdict {
  return judgeAnswer({ status, headers, body: Buffer.from(body), isReusable: true }, ASKING);
}

const CODES: readonly [statuses: readonly number[], kind: Verdict["kind"], code: string][] = [
  [[200, 201, 202, 204, 299], "written", ""],
  [[400, 413, 422], "refused", "ROW_REFUSED"],
  [[408, 409, 425, 429, 500, 502, 503, 504, 599], "back-off", "SINK_FAILED"],
  [[401, 403, 407], "failed", "SINK_UNAUTHORIZED"],
  [
    [300, 301, 302, 303, 304, 307, 308, 404, 405, 410, 411, 415, 418, 451],
    "failed",
    "SINK_REFUSED",
  ],
];

for (const [statuses, kind, code] of CODES)
  for (const status of statuses)
    test(`http answer: ${status} is ${kind}`, () => {
      const verdict = judge(status);
      equal(verdict.kind, kind);
      equal("cause" in verdict ? verdict.cause.code : "", code);
    });

const DELAYS: readonly [value: string | undefined, ms: number | undefined][] = [
  [undefined, undefined],
  ["0", 0],
  ["7", 7_000],
  ["3600", RETRY_AFTER_MS_MAX],
  ["Thu, 01 Jan 2026 00:00:30 GMT", 30_000],
  ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
  ["Fri, 02 Jan 2026 00:00:00 GMT", RETRY_AFTER_MS_MAX],
  ["soon", undefined],
  ["-5 apples", undefined],
];

for (const [value, ms] of DELAYS)
  test(`http answer: Retry-After ${value ?? "left out"} is ${ms ?? "none"}`, () => {
    equal(retryAfterMs(value, NOW_MS), ms);
  });

test("http answer: the server's wish is in the verdict", () => {
  const verdict = judge(503, { "retry-after": "3" });
  ok(verdict.kind === "back-off");
  equal(verdict.delayMs, 3_000);
});

test("http answer: the message says what was asked, what was answered, and no secret", () => {
  const verdict = judge(401, {}, `bad token hunter2\n${"x".repeat(500)}`);
  ok(verdict.kind === "failed");
  const { message, fix } = verdict.cause;
  match(message, /^store: POST http:\/\/s\/rows was answered 401: "bad token \*\*\*\\nxxx/);
  ok(message.length < 300 && !message.includes("hunter2"));
  equal(fix, "give the sink a token that the server accepts");
});

test("http answer: a redirect names its target without the query", () => {
  const verdict = judge(307, { location: "https://other/rows?key=hunter2" });
  ok(verdict.kind === "failed");
  deepEqual(
    [verdict.cause.message, verdict.cause.fix],
    [
      "store: POST http://s/rows was answered 307, see https://other/rows",
      "url: https://other/rows, if that server is to be trusted: redirects are not followed",
    ],
  );
});
