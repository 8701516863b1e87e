/**
 * The HTTP sink on a scripted server: what fails, and what is refused.
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SinkSession, WriteResult } from "../../src/contract/sink.ts";
import { HoldfastError } from "../../src/errors.ts";
import { HttpScene, numbers } from "../support/http-scene.ts";
import { manyRuns } from "../support/runs.ts";
import { KeyedStore, type ScriptedReply } from "../support/scripted-http.ts";
import { type ChunkInput, stopped } from "../support/sink-batch.ts";
import { timed } from "../support/timed.ts";

/** One failure, then success. */
function once(reply: ScriptedReply): () => ScriptedReply {
  const replies = [reply];
  return () => replies.shift() ?? { status: 200 };
}

function delayOf(result: WriteResult): number {
  ok(result.kind === "back-off", result.kind);
  return result.delayMs;
}

test("http: Retry-After is kept, and the parts that are there are not sent again", async () => {
  const scene = new HttpScene();
  const session = await scene.open();
  const replies: ScriptedReply[] = [
    { status: 200 },
    { status: 429, headers: { "retry-after": "7" } },
    { status: 503, headers: { "retry-after": "86400" } },
  ];
  scene.server.reply = () => replies.shift() ?? { status: 200 };
  const { signal } = scene.pipeline.abort;
  const write = (): Promise<WriteResult> =>
    session.write(scene.pipeline.batch([numbers(5)]), signal);
  equal(delayOf(await write()), 7_000);
  equal(delayOf(await write()), 60_000);
  deepEqual(await write(), { kind: "written" });
  deepEqual(scene.server.bodies, ["0\n1\n", "2\n3\n", "2\n3\n", "2\n3\n", "4\n"]);
  await scene.close(session);
});

for (const reply of [{ status: 500 }, { status: 408 }, { status: 503 }, "break"] as const)
  test(`http: ${typeof reply === "string" ? reply : reply.status} is tried later, with the same key`, async () => {
    const scene = new HttpScene();
    const session = await scene.open();
    scene.server.reply = once(reply);
    const batch = (): Promise<WriteResult> => scene.pipeline.run(session, [numbers(2)]);
    const delay = delayOf(await batch());
    ok(delay >= 125 && delay <= 250, String(delay));
    deepEqual(await batch(), { kind: "written" });
    equal(scene.server.keys.length, 2);
    equal(new Set(scene.server.keys).size, 1);
    await scene.close(session);
  });

test("http: delays double to their limit, and begin anew when rows are taken", async () => {
  const scene = new HttpScene({ breaker: { callsMin: 100 } });
  const session = await scene.open();
  scene.server.reply = () => ({ status: 500 });
  for (const full of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    const delay = delayOf(await scene.pipeline.run(session, [numbers(2)]));
    ok(delay >= full / 2 && delay <= full, `${delay} of ${full}`);
  }
  const replies: ScriptedReply[] = [{ status: 200 }, { status: 500 }];
  scene.server.reply = () => replies.shift() ?? { status: 500 };
  const delay = delayOf(await scene.pipeline.run(session, [numbers(4)]));
  ok(delay >= 125 && delay <= 250, String(delay));
  await scene.close(session);
});

test("http: a server that is away: the wait for a connection ends, and the batch is tried later", async () => {
  const scene = new HttpScene({ pool: { acquireDeadlineMs: 2_000 } });
  const session = await scene.open();
  scene.server.refusal = () => new HoldfastError("CONNECTION_FAILED", "refused");
  const writing = scene.pipeline.run(session, [numbers(1)]);
  await scene.clock.advance(2_000);
  const result = await writing;
  ok(result.kind === "back-off" && result.cause instanceof HoldfastError);
  equal(result.cause.code, "POOL_TIMEOUT");
  match(result.cause.message, /http:\/\/s:8080 is down, last connect error/);
  ok(scene.server.places.length < 10);
  deepEqual(scene.pipeline.endpoints(), ["down"]);
  await scene.close(session);
});

test("http: silence ends at the deadline, with its connection", async () => {
  const scene = new HttpScene({ timeoutMs: 3_000 });
  const session = await scene.open();
  scene.server.reply = once("never");
  const writing = scene.pipeline.run(session, [numbers(1)]);
  await scene.clock.advance(2_999);
  equal(scene.server.openCount, 1);
  await scene.clock.advance(1);
  const result = await writing;
  ok(result.kind === "back-off" && result.cause instanceof HoldfastError);
  equal(result.cause.code, "CONNECTION_STALLED");
  equal(scene.server.openCount, 0);
  deepEqual(await scene.pipeline.run(session, [numbers(1)]), { kind: "written" });
  await scene.close(session);
});

test("http: a stop ends the request at once", async () => {
  const scene = new HttpScene();
  const session = await scene.open();
  scene.server.reply = () => "never";
  const stop = new AbortController();
  const writing = rejects(session.write(scene.pipeline.batch([numbers(1)]), stop.signal), {
    message: "stop",
  });
  await scene.clock.settle();
  stop.abort(new Error("stop"));
  await writing;
  await scene.close(session);
});

test("http: a stage before it that stops the batch sets nothing aside", async () => {
  const scene = new HttpScene();
  const session = await scene.open();
  scene.server.reply = () => ({ status: 400 });
  const batch = scene.pipeline.batch([numbers(4)]);
  const chunks = stopped(batch.chunks, new Error("a stage"));
  await rejects(session.write({ ...batch, chunks }, scene.pipeline.abort.signal), {
    message: "a stage",
  });
  deepEqual(scene.pipeline.setAside, []);
  await scene.close(session);
});

const PARKS: readonly [status: number, code: string][] = [
  [401, "SINK_UNAUTHORIZED"],
  [403, "SINK_UNAUTHORIZED"],
  [404, "SINK_REFUSED"],
  [405, "SINK_REFUSED"],
  [301, "SINK_REFUSED"],
];

for (const [status, code] of PARKS)
  test(`http: ${status} fails the pipeline for good after one request`, async () => {
    const scene = new HttpScene();
    const session = await scene.open();
    scene.server.reply = () => ({ status, headers: { location: "http://other/" } });
    await rejects(scene.pipeline.run(session, [numbers(9)]), { code });
    equal(scene.server.questions.length, 1);
    await scene.close(session);
  });

test("http: a server that is not trusted fails the pipeline with that", async () => {
  const scene = new HttpScene({ url: "https://s/" });
  const session = await scene.open();
  scene.server.refusal = () =>
    new HoldfastError("CONNECTION_UNTRUSTED", "s: self-signed", { fix: "check tls.ca" });
  await rejects(scene.pipeline.run(session, [numbers(1)]), {
    code: "CONNECTION_UNTRUSTED",
    fix: "check tls.ca",
    message: /s: self-signed/,
  });
  equal(scene.server.places.length, 1);
  await scene.close(session);
});

test("http: of two servers the second is used while the first is away", async () => {
  const scene = new HttpScene({ url: ["http://a/one", "http://b/two"] });
  const session = await scene.open();
  scene.server.refusal = ({ host }) =>
    host === "a" ? new HoldfastError("CONNECTION_FAILED", "refused") : undefined;
  const writing = scene.pipeline.run(session, [numbers(4)]);
  await scene.clock.advance(1_000);
  deepEqual(await writing, { kind: "written" });
  deepEqual(
    scene.server.questions.map(({ path, headers }) => [path, headers["host"]]),
    [
      ["/two", "b"],
      ["/two", "b"],
    ],
  );
  await scene.close(session);
});

test("http: a server that mostly fails is left alone for a while", async () => {
  const scene = new HttpScene({ breaker: { callsMin: 4 } });
  const session = await scene.open();
  scene.server.reply = () => ({ status: 500 });
  const run = (): Promise<WriteResult> => scene.pipeline.run(session, [numbers(2)]);
  for (let attempt = 0; attempt < 4; attempt++) await run();
  const refused = await run();
  ok(refused.kind === "back-off" && refused.cause instanceof HoldfastError);
  equal(refused.cause.code, "BREAKER_OPEN");
  equal(scene.server.questions.length, 4);
  scene.server.reply = () => ({ status: 200 });
  await scene.clock.advance(refused.delayMs);
  deepEqual(await run(), { kind: "written" });
  await scene.close(session);
});

test("http: of a refused part the bad row becomes a dead letter, the others are written", async () => {
  const scene = new HttpScene({ requestRecordsMax: 8 });
  const store = new KeyedStore();
  store.judge = (rows) => (rows.includes("5") ? 422 : 200);
  scene.server.reply = store.take;
  deepEqual(await scene.run(numbers(10)), { kind: "written" });
  deepEqual(store.rows, ["0", "1", "2", "3", "4", "6", "7", "8", "9"]);
  const [letter, ...others] = scene.pipeline.setAside;
  deepEqual([letter?.offset, letter?.code, letter?.body, others], [5, "ROW_REFUSED", "5", []]);
  match(letter?.message ?? "", /^out: POST http:\/\/s:8080\/rows was answered 422: "no 422"$/);
  const paths = scene.server.keys.map((key) => key.replace(/^.*\/([\d.]+)-.*$/, "$1"));
  deepEqual(paths, ["0", "0.0", "0.1", "0.1.0", "0.1.0.0", "0.1.0.1", "0.1.1", "1"]);
});

test("http: rows that cannot be sent and rows that are refused are set aside in order", async () => {
  const scene = new HttpScene({ requestRecordsMax: 3, requestBytesMax: 1_024, inFlightMax: 2 });
  scene.server.reply = ({ body }) => ({ status: /bad/.test(body) ? 400 : 200 });
  const long = "x".repeat(2_000);
  const rows = ["a", "bad1", 1n, "b", long, "c", "bad2"];
  await scene.run({ texts: rows.map(String), rows, bytes: "changed" });
  deepEqual(
    scene.pipeline.setAside.map(({ offset, code }) => `${offset} ${code}`),
    ["1 ROW_REFUSED", "2 ROW_TYPE", "4 ROW_REFUSED", "6 ROW_REFUSED"],
  );
  match(scene.pipeline.setAside[2]?.message ?? "", /2003 bytes, requestBytesMax is 1024$/);
});

test("http: a server that refuses everything parks the pipeline, not the week's records", async () => {
  const scene = new HttpScene({ requestRecordsMax: 1_000 });
  const session = await scene.open();
  scene.server.reply = () => ({ status: 400, body: "no such field" });
  await rejects(scene.pipeline.run(session, [numbers(5_000)]), {
    code: "SINK_REFUSED",
    message: /^out: 100 of 100 rows were refused.*no such field/,
  });
  deepEqual(scene.pipeline.setAside, []);
  ok(scene.server.questions.length < 250, String(scene.server.questions.length));
  await scene.close(session);
});

test("http: small batches that are refused count together", async () => {
  const scene = new HttpScene({ requestRecordsMax: 10 });
  const session = await scene.open();
  scene.server.reply = () => ({ status: 400 });
  for (let batch = 0; batch < 9; batch++) await scene.pipeline.run(session, [numbers(10)]);
  await rejects(scene.pipeline.run(session, [numbers(10)]), { code: "SINK_REFUSED" });
  equal(scene.pipeline.setAside.length, 90);
  await scene.close(session);
});

/** Writes, and lets the time pass that a new connection may take. */
function written(
  { pipeline, clock }: HttpScene,
  session: SinkSession<never>,
  chunks: readonly ChunkInput[],
): Promise<WriteResult> {
  return timed(clock, pipeline.run(session, chunks), 500);
}

test("http: a server that keeps keys has every row once, whatever fails and whoever starts again", async () => {
  const step = fc.constantFrom("ok", "lost-answer", "break", 500, 429);
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.array(fc.boolean(), { maxLength: 12 }),
      fc.uniqueArray(fc.nat({ max: 30 }), { maxLength: 4 }),
      fc.constantFrom(1, 3),
      async (steps, restarts, bad, inFlightMax) => {
        const scene = new HttpScene({
          requestRecordsMax: 4,
          inFlightMax,
          breaker: { callsMin: 100 },
        });
        const store = new KeyedStore();
        store.judge = (rows) => (bad.some((row) => rows.includes(String(row))) ? 422 : 200);
        scene.server.reply = (question) => {
          const next = steps.shift() ?? "ok";
          if (typeof next === "number") return { status: next };
          if (next === "break") return "break";
          const reply = store.take(question);
          return next === "ok" ? reply : "break";
        };
        let session = await scene.open();
        for (let first = 0; first < 30; first += 10) {
          const chunks = [numbers(7, first), numbers(3, first + 7)];
          while ((await written(scene, session, chunks)).kind === "back-off") {
            if (restarts.shift() !== true) continue;
            await session.close(scene.pipeline.abort.signal);
            session = await scene.open();
          }
        }
        await scene.close(session);
        const all = Array.from({ length: 30 }, (_, row) => row);
        deepEqual(
          store.rows.map(Number).toSorted((a, b) => a - b),
          all.filter((row) => !bad.includes(row)),
        );
        deepEqual(
          scene.pipeline.setAside.map(({ body }) => Number(body)),
          all.filter((row) => bad.includes(row)),
        );
      },
    ),
    manyRuns,
  );
});
