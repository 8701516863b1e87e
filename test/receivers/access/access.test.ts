import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:https";
import { connect as connectPlain, type Socket } from "node:net";
import { test } from "node:test";
import { connect, type ConnectionOptions } from "node:tls";
import { http } from "../../../receivers/http/index.ts";
import { tcp } from "../../../receivers/tcp/index.ts";
import type { AccessOptions } from "../../../src/access.ts";
import { AddressRanges } from "../../../src/host/address-ranges.ts";
import { realHttp } from "../../../src/host/real-http.ts";
import { realSockets } from "../../../src/host/real-sockets.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";
import { tlsFile, tlsPath } from "../../support/tls-files.ts";

const SERVER = { cert: tlsPath("first", "cert"), key: tlsPath("first", "key") };
const MUTUAL = { ...SERVER, clientCa: tlsPath("first", "cert") };
const TRUSTS = { ca: tlsFile("first", "cert") };
const METER = { ...TRUSTS, cert: tlsFile("client", "cert"), key: tlsFile("client", "key") };
const STRANGER = { ...TRUSTS, cert: tlsFile("second", "cert"), key: tlsFile("second", "key") };

async function listening(access: AccessOptions): Promise<ReceiverHarness> {
  const engine = new ReceiverHarness({ sockets: realSockets() });
  await engine.open(tcp("meters", { port: 0, acknowledge: "count-line", ...access }));
  return engine;
}

function dial(engine: ReceiverHarness, options: ConnectionOptions = TRUSTS): Socket {
  return connect({ host: "127.0.0.1", port: engine.port, ...options });
}

/** Plays the log until `promise` is settled. */
async function playing<T>(engine: ReceiverHarness, promise: Promise<T>): Promise<T> {
  const settled = promise.then(() => true);
  const turn = async (): Promise<boolean> => {
    await engine.clock.settle();
    await engine.commit();
    return false;
  };
  while (!(await Promise.race([settled, turn()])));
  return promise;
}

/** Sends a line and reads until the server ends; the log commits meanwhile. */
function exchange(engine: ReceiverHarness, socket: Socket): Promise<string> {
  const answer: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => answer.push(chunk));
  // What breaks is seen in what was answered.
  socket.on("error", () => undefined);
  socket.end("21.5\n");
  return playing(
    engine,
    new Promise((resolve) => {
      socket.once("close", () => resolve(Buffer.concat(answer).toString()));
    }),
  );
}

test("tcp with tls: records are stored and counted, also when the client ends its side first", async () => {
  const engine = await listening({ tls: SERVER });
  assert.equal(await exchange(engine, dial(engine)), "1\n");
  assert.deepEqual(engine.durable, ["21.5"]);
  await engine.session.close(AbortSignal.abort());
});

test("tcp with tls: pause stops reading and resume goes on", async () => {
  const engine = await listening({ tls: SERVER });
  engine.pause();
  const socket = dial(engine);
  await once(socket, "secureConnect");
  socket.write("1\n");
  for (let turn = 0; turn < 20; turn++) await engine.clock.settle();
  assert.deepEqual(engine.inflightBlocks, []);
  engine.resume();
  assert.equal(await exchange(engine, socket), "1\n2\n".slice(-2));
  assert.deepEqual(engine.durable, ["1", "21.5"]);
  await engine.session.close(AbortSignal.abort());
});

test("tcp with tls: a client certificate of the right authority and name is let in", async () => {
  for (const clientNames of [undefined, ["meter-7"], ["x", "meter-*.site.example"]]) {
    const engine = await listening({
      tls: { ...MUTUAL, ...(clientNames === undefined ? {} : { clientNames }) },
    });
    assert.equal(await exchange(engine, dial(engine, METER)), "1\n");
    await engine.session.close(AbortSignal.abort());
  }
});

for (const [who, options, clientNames, code] of [
  ["nobody's", TRUSTS, undefined, "CONNECTION_UNTRUSTED"],
  ["a stranger's", STRANGER, undefined, "CONNECTION_UNTRUSTED"],
  ["another name's", METER, ["meter-8", "meter"], "CONNECTION_REFUSED"],
] as const) {
  test(`tcp with tls: with ${who} certificate nothing is stored, and it is told once`, async () => {
    const engine = await listening({
      tls: { ...MUTUAL, ...(clientNames === undefined ? {} : { clientNames }) },
    });
    for (let tries = 0; tries < 2; tries++)
      assert.equal(await exchange(engine, dial(engine, options)), "");
    while (engine.codes.length === 0) await engine.clock.settle();
    assert.deepEqual([engine.durable, engine.failures], [[], []]);
    assert.deepEqual(engine.codes, [code]);
    await engine.session.close(AbortSignal.abort());
  });
}

test("tcp with tls: who speaks no TLS ends alone, others go on", async () => {
  const engine = await listening({ tls: SERVER });
  const plain = connectPlain({ host: "127.0.0.1", port: engine.port });
  assert.doesNotMatch(await exchange(engine, plain), /^\d/);
  assert.equal(await exchange(engine, dial(engine)), "1\n");
  assert.deepEqual([engine.durable, engine.failures], [["21.5"], []]);
  assert.match(
    engine.warnings.join("\n"),
    /^connection of 127\.0\.0\.1:\d+ refused: TLS handshake: [a-z ]+$/,
  );
  await engine.session.close(AbortSignal.abort());
});

test("tcp with tls: who never shakes hands is limited in number, and gives its place back", async () => {
  const engine = await listening({ tls: SERVER });
  const silent: Socket[] = [];
  const closed = new Set<Socket>();
  const dialSilent = async (): Promise<void> => {
    const socket = connectPlain({ host: "127.0.0.1", port: engine.port });
    silent.push(socket);
    socket.on("close", () => closed.add(socket)).on("error", () => undefined);
    await once(socket, "connect");
    socket.resume();
  };
  for (let count = 0; count < 1_024; count++) await dialSilent();
  assert.equal(closed.size, 0);
  await dialSilent();
  while (closed.size === 0) await engine.clock.settle();
  assert.equal(await exchange(engine, dial(engine)), "");
  for (const socket of silent) socket.resetAndDestroy();
  while (closed.size < silent.length) await engine.clock.settle();
  // The server hears of the ends a moment later.
  let answer = "";
  while (answer === "") answer = await exchange(engine, dial(engine));
  assert.equal(answer, "1\n");
  for (let count = 0; count < 30; count++)
    assert.equal(await exchange(engine, dial(engine)), "1\n");
  await engine.session.close(AbortSignal.abort());
});

test("tcp: an address outside of `allow` is closed at once, one inside is served", async () => {
  const outside = await listening({ allow: ["10.0.0.0/8", "::1"] });
  const refused = connectPlain({ host: "127.0.0.1", port: outside.port });
  assert.equal(await exchange(outside, refused), "");
  assert.deepEqual([outside.durable, outside.codes], [[], ["CONNECTION_REFUSED"]]);
  await outside.session.close(AbortSignal.abort());
  const inside = await listening({ allow: ["127.0.0.0/8"] });
  const served = connectPlain({ host: "127.0.0.1", port: inside.port, allowHalfOpen: true });
  assert.equal(await exchange(inside, served), "1\n");
  await inside.session.close(AbortSignal.abort());
});

test("http with tls: a client of the right name is served, another one answered 403", async () => {
  for (const [name, status] of [
    ["meter-7", 200],
    ["meter-8", 403],
  ] as const) {
    const engine = new ReceiverHarness({ http: realHttp });
    await engine.open(http("web", { port: 0, tls: { ...MUTUAL, clientNames: [name] } }));
    const asked = request({
      host: "127.0.0.1",
      port: engine.port,
      method: "POST",
      path: "/records",
      ...METER,
    });
    asked.setHeader("content-type", "text/plain");
    const answered = new Promise<number | undefined>((resolve) => {
      asked.on("response", (response) => resolve(response.resume().statusCode));
    });
    asked.end("1\n2");
    assert.equal(await playing(engine, answered), status);
    assert.deepEqual(engine.durable, status === 200 ? ["1", "2"] : []);
    await engine.session.close(AbortSignal.abort());
  }
});

test("http with tls: close waits for no handshake, and for a client that is answered it does", async () => {
  const engine = new ReceiverHarness({ http: realHttp });
  await engine.open(http("web", { port: 0, tls: SERVER }));
  const silent = connectPlain({ host: "127.0.0.1", port: engine.port });
  await once(silent, "connect");
  silent.resume();
  const asked = request({
    host: "127.0.0.1",
    port: engine.port,
    method: "POST",
    path: "/records",
    ...TRUSTS,
  });
  asked.setHeader("content-type", "text/plain");
  const answered = new Promise<number | undefined>((resolve) => {
    asked.on("response", (response) => resolve(response.resume().statusCode));
  });
  asked.end("1");
  while (engine.inflightBlocks.length === 0) await engine.clock.settle();
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  await once(silent, "close");
  assert.equal(await playing(engine, answered), 200);
  await closed;
});

test("access: files that are missing or none are named when it opens", async () => {
  for (const [tls, message] of [
    [
      { ...SERVER, key: "/nowhere/key.pem" },
      /meters: tls\.key: \/nowhere\/key\.pem cannot be read: ENOENT/,
    ],
    [
      { ...SERVER, key: tlsPath("second", "key") },
      /meters: tls\.key: .*second\.key\.pem is not the key of the certificate in .*first\.cert\.pem/,
    ],
    // OpenSSL takes it without a word, and lets nobody in.
    [
      { ...SERVER, clientCa: tlsPath("first", "key") },
      /meters: tls\.clientCa: .*first\.key\.pem holds no certificate but a key/,
    ],
    [
      { ...SERVER, cert: "-----BEGIN CERTIFICATE-----\nMII" },
      /^meters: tls\.cert: \(a text\) cannot be read: ENOENT$/,
    ],
  ] as const) {
    await assert.rejects(listening({ tls }), { code: "CONFIG_VALUE", message });
  }
});

test("access: a certificate that is not valid now is told of, and does not keep the port closed", async () => {
  const yearMs = 365 * 86_400_000;
  for (const [years, warning] of [
    [0, undefined],
    [97, /^meters: tls\.cert: .* was valid until .* 2120 GMT, clients will not accept it$/],
    [-20, /is not valid before .* 2020 GMT/],
  ] as const) {
    const engine = new ReceiverHarness({ sockets: realSockets() });
    engine.clock.jumpWall(years * yearMs);
    await engine.open(tcp("meters", { port: 0, tls: SERVER }));
    if (warning === undefined) assert.deepEqual(engine.warnings, []);
    else assert.match(engine.warnings.join("\n"), warning);
    await engine.session.close(AbortSignal.abort());
  }
});

test("access: names without an authority, and ranges that are none, are refused before anything runs", () => {
  assert.throws(() => tcp("meters", { port: 0, tls: { ...SERVER, clientNames: ["a"] } }), {
    code: "CONFIG_CONFLICT",
  });
  assert.throws(() => http("web", { port: 0, allow: ["10.0.0.0/33"] }), {
    code: "CONFIG_VALUE",
    message: /"10\.0\.0\.0\/33" is no address and no network/,
  });
});

test("access: lists that are empty would let nobody in, and are refused", () => {
  assert.throws(() => http("web", { port: 0, allow: [] }), {
    code: "CONFIG_VALUE",
    message: "http: allow has 0 entries: nobody could connect",
  });
  assert.throws(() => tcp("meters", { port: 0, tls: { ...MUTUAL, clientNames: [] } }), {
    code: "CONFIG_VALUE",
    message: "tcp: tls.clientNames has 0 entries: nobody could connect",
  });
});

test("address ranges: addresses, networks, and IPv4 in IPv6", () => {
  const ranges = new AddressRanges(["10.1.0.0/16", "192.168.1.7", "fd00::/8"]);
  const inside = ["10.1.2.3", "192.168.1.7", "fd12::1", "::ffff:10.1.2.3"];
  const outside = ["10.2.0.1", "192.168.1.8", "fe80::1", "::ffff:10.2.0.1", "", "meter"];
  assert.deepEqual([ranges.invalid, inside.filter((each) => !ranges.has(each))], [undefined, []]);
  assert.deepEqual(
    outside.filter((each) => ranges.has(each)),
    [],
  );
  for (const wrong of ["", "10.0.0.0/", "10.0.0.0/8/1", "10.0.0.0/-1", "fd00::/129", "meter"])
    assert.equal(new AddressRanges([wrong]).invalid, wrong);
});
