/**
 * The HTTP sink on a scripted server: what it sends.
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { HttpScene, numbers } from "../support/http-scene.ts";
import { jsonChunk } from "../support/sink-batch.ts";
import { tlsFile } from "../support/tls-files.ts";

test("http: rows go in requests of limited size, whatever chunks they come in", async () => {
  const scene = new HttpScene();
  deepEqual(await scene.run(numbers(3), numbers(2, 3)), { kind: "written" });
  deepEqual(scene.server.bodies, ["0\n1\n", "2\n3\n", "4\n"]);
  const other = new HttpScene();
  await other.run(numbers(1), numbers(1, 1), numbers(3, 2));
  deepEqual(other.server.questions, scene.server.questions);
  const [first] = scene.server.questions;
  deepEqual(
    [first?.method, first?.path, first?.place],
    ["POST", "/rows?k=1", { host: "s", port: 8080 }],
  );
  deepEqual(first?.headers, {
    "content-type": "application/x-ndjson",
    host: "s:8080",
    "idempotency-key": `${scene.pipeline.writerId}/out/1/0-82c1315e6c757f33`,
  });
});

test("http: keys differ by writer, batch, place and rows, and by nothing else", async () => {
  const scene = new HttpScene({ requestRecordsMax: 1 });
  const session = await scene.open();
  for (let batch = 0; batch < 2; batch++) await scene.pipeline.run(session, [jsonChunk([7, 7, 8])]);
  equal(new Set(scene.server.keys).size, 6);
  await scene.close(session);
  const again = new HttpScene({ requestRecordsMax: 1, url: "http://elsewhere/", gzip: true });
  await again.run(jsonChunk([7, 7, 8]));
  deepEqual(again.server.keys, scene.server.keys.slice(0, 3));
  const third = new HttpScene({ requestRecordsMax: 2 });
  await third.run(jsonChunk([7, 7, 8]));
  ok(!third.server.keys.some((key) => scene.server.keys.includes(key)));
});

test("http: a batch without rows asks nothing", async () => {
  const scene = new HttpScene();
  deepEqual(await scene.run(), { kind: "written" });
  deepEqual(scene.server.places, []);
});

test("http: token, headers, method; without key the guarantee is another", async () => {
  const scene = new HttpScene({
    token: "t0ken",
    headers: { "X-Site": "north", "Content-Type": "application/jsonl" },
    method: "PUT",
    idempotencyKey: false,
  });
  const session = await scene.open();
  deepEqual([session.guarantee, session.by, session.last], ["at-least-once", "no key", undefined]);
  await scene.pipeline.run(session, [numbers(1)]);
  await scene.close(session);
  equal(scene.server.questions[0]?.method, "PUT");
  deepEqual(scene.server.questions[0]?.headers, {
    "content-type": "application/jsonl",
    "x-site": "north",
    authorization: "Bearer t0ken",
    host: "s:8080",
  });
  const keyed = await new HttpScene().open();
  deepEqual([keyed.guarantee, keyed.by], ["idempotent", "key"]);
});

test("http: long bodies are packed, short ones are not", async () => {
  const scene = new HttpScene({ gzip: true, gzipBytesMin: 5 });
  const packed: string[] = [];
  const connect = scene.server.connect;
  const client = {
    connect: async (...args: Parameters<typeof connect>) => {
      const line = await connect(...args);
      return {
        ...line,
        send: (...[question, signal]: Parameters<typeof line.send>) => {
          if (question.headers["content-encoding"] === "gzip")
            packed.push(gunzipSync(question.body).toString());
          return line.send(question, signal);
        },
      };
    },
  };
  scene.pipeline.httpClient = client;
  await scene.run(jsonChunk(["long", "er", 1]));
  deepEqual(packed, ['"long"\n"er"\n']);
  deepEqual(scene.server.bodies.slice(1), ["1\n"]);
});

test("http: one connection serves one request after the other", async () => {
  const scene = new HttpScene();
  await scene.run(numbers(9));
  deepEqual([scene.server.places.length, scene.server.askingMax], [1, 1]);
});

test("http: inFlightMax requests at once, and no more", async () => {
  const scene = new HttpScene({ inFlightMax: 3 });
  scene.server.reply = async () => {
    await scene.clock.yield();
    return { status: 200 };
  };
  await scene.run(numbers(40));
  equal(scene.server.askingMax, 3);
  equal(scene.server.questions.length, 20);
});

test("http: an answer that ends its connection counts, and the next request takes another one", async () => {
  const scene = new HttpScene();
  scene.server.reply = () => ({ status: 200, isReusable: false });
  deepEqual(await scene.run(numbers(6)), { kind: "written" });
  deepEqual(
    scene.server.questions.map(({ connection }) => connection),
    [1, 2, 3],
  );
});

test("http: TLS files are read at each connect; a missing one is said at the start", async () => {
  const scene = new HttpScene({ url: "https://s/", tls: { ca: "/ca.pem", servername: "store" } });
  await rejects(scene.open(), {
    code: "CONFIG_VALUE",
    message: /tls\.ca: \/ca\.pem cannot be read/,
  });
  const [first, second] = [tlsFile("first", "cert"), tlsFile("second", "cert")];
  scene.disk.put("/ca.pem", first);
  const session = await scene.open();
  scene.server.reply = () => ({ status: 200, isReusable: false });
  await scene.pipeline.run(session, [numbers(1)]);
  scene.disk.put("/ca.pem", second);
  await scene.pipeline.run(session, [numbers(1)]);
  deepEqual(
    scene.server.places.map(({ port, tls }) => [
      port,
      tls?.servername,
      Buffer.from(tls?.ca ?? []).toString(),
    ]),
    [
      [443, "store", first.toString()],
      [443, "store", second.toString()],
    ],
  );
  scene.disk.put("/ca.pem", Buffer.alloc(2 ** 20 + 1));
  await rejects(scene.pipeline.run(session, [numbers(1)]), {
    code: "CONFIG_VALUE",
    message: /1048577 bytes, limit 1048576/,
  });
  await scene.close(session);
});
