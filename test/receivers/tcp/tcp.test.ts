import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { tcp, type TcpInput } from "../../../receivers/tcp/index.ts";
import { lengthPrefixed } from "../../../src/framing/index.ts";
import { ReceiverHarness, settle } from "../../support/receiver-harness.ts";
import { tcpScene } from "../../support/tcp-scene.ts";

test("tcp: a count comes after the commit, never before", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.send("a\nb\n");
  await settle();
  assert.equal(peer.text, "");
  await engine.commit();
  assert.equal(peer.text, "2\n");
  assert.deepEqual(engine.durable, ["a", "b"]);
});

test("tcp: one count per group commit and connection, however many blocks it held", async () => {
  const { engine, dial } = await tcpScene();
  const first = dial();
  const second = dial();
  for (let i = 0; i < 10; i++) first.send(`${i}\n`);
  second.send("x\n");
  await engine.commit();
  assert.deepEqual([first.writes.length, second.writes.length], [1, 1]);
  assert.deepEqual([first.text, second.text], ["10\n", "1\n"]);
  first.send("more\n");
  await engine.commit();
  assert.equal(first.text, "10\n11\n");
});

test("tcp: count-bytes is 4 bytes, big-endian", async () => {
  const { engine, dial } = await tcpScene({ acknowledge: "count-bytes" });
  const peer = dial();
  peer.send("a\n".repeat(258));
  await engine.commit();
  assert.equal(Buffer.concat(peer.writes).toString("hex"), "00000102");
});

test("tcp: none writes nothing", async () => {
  const { engine, dial } = await tcpScene({ acknowledge: "none" });
  const peer = dial();
  peer.send("a\n");
  await engine.commit();
  assert.equal(peer.text, "");
  assert.equal(engine.durable.length, 1);
});

test("tcp: a client that sends FIN still gets its count, and only then the end", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.send("a\nb\n");
  peer.end();
  await settle();
  assert.deepEqual([peer.text, peer.isEnded], ["", false]);
  await engine.commit();
  assert.deepEqual([peer.text, peer.isEnded], ["2\n", true]);
  assert.equal(engine.connectionCount, 0);
});

test("tcp: a client that does not read its counts is closed at the limit", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.readsAnswers = false;
  let rounds = 0;
  while (!peer.connection.isClosed && rounds < 20_000) {
    peer.send("a\n");
    await engine.commit();
    rounds++;
  }
  assert.ok(peer.connection.unsentBytes > 64 * 1024 && peer.connection.unsentBytes < 65 * 1024);
  assert.match(engine.warnings.join(), /does not read its counts/);
  assert.deepEqual(engine.failures, []);
});

test("tcp: half a line then FIN is set aside, and the count is of the whole ones", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.send("whole\nhal");
  peer.send("f");
  peer.end();
  await engine.commit();
  assert.deepEqual(engine.setAside, [{ text: "half", code: "MESSAGE_UNTERMINATED" }]);
  assert.deepEqual([peer.text, peer.isEnded], ["1\n", true]);
  assert.deepEqual(engine.durable, ["whole"]);
});

test("tcp: half a line then silence is set aside at the idle limit", async () => {
  const { engine, dial } = await tcpScene({ idleTimeoutMs: 1_000 });
  const peer = dial();
  peer.send("half");
  await engine.clock.advance(900);
  peer.send("-line");
  await engine.clock.advance(999);
  assert.deepEqual(engine.setAside, []);
  await engine.clock.advance(1);
  assert.deepEqual(engine.setAside, [{ text: "half-line", code: "MESSAGE_UNTERMINATED" }]);
  assert.equal(peer.isEnded, true);
});

test("tcp: a connection that is idle between messages is closed without a dead letter", async () => {
  const { engine, dial } = await tcpScene({ idleTimeoutMs: 1_000 });
  const peer = dial();
  peer.send("a\n");
  await engine.commit();
  await engine.clock.advance(1_000);
  assert.deepEqual([peer.isEnded, engine.setAside, peer.text], [true, [], "1\n"]);
  assert.deepEqual(engine.codes, ["CONNECTION_IDLE"]);
});

test("tcp: silence does not count while we are the ones who wait", async () => {
  const { engine, dial } = await tcpScene({ idleTimeoutMs: 1_000 });
  const peer = dial();
  peer.send("a\n");
  await engine.clock.advance(5_000);
  assert.equal(peer.isEnded, false);
  engine.pause();
  await engine.commit(1);
  await engine.clock.advance(5_000);
  assert.equal(peer.isEnded, false);
});

test("tcp: idleTimeoutMs 0 waits forever", async () => {
  const { engine, dial } = await tcpScene({ idleTimeoutMs: 0 });
  const peer = dial();
  await engine.clock.advance(2 ** 31);
  assert.equal(peer.isEnded, false);
  assert.equal(engine.clock.timerCount, 0);
});

test("tcp: a line over the limit ends its connection after the count of those before it", async () => {
  const { engine, dial } = await tcpScene({ messageBytesMax: 8 });
  const [peer, other] = [dial(), dial()];
  peer.send("fine\nthis is too long\nnever\n");
  peer.send("never either\n");
  await settle();
  assert.equal(peer.isEnded, false);
  other.send("ok\n");
  await engine.commit();
  assert.deepEqual([peer.text, peer.isEnded], ["1\n", true]);
  assert.deepEqual(engine.durable, ["fine", "ok"]);
  assert.deepEqual(engine.setAside, [{ text: "this is too long", code: "MESSAGE_TOO_LONG" }]);
  assert.match(engine.warnings[0] ?? "", /message of 16 bytes, limit 8/);
  assert.deepEqual([other.text, other.isEnded, engine.failures], ["1\n", false, []]);
});

test("tcp: a peer that goes on sending after goodbye is cut off after a while", async () => {
  const { engine, dial } = await tcpScene({ messageBytesMax: 4 });
  const peer = dial();
  peer.send("much too long\n");
  await settle();
  assert.equal(peer.isEnded, true);
  peer.send("on and on\n");
  await engine.clock.advance(1_999);
  assert.equal(peer.connection.isClosed, false);
  await engine.clock.advance(1);
  assert.equal(peer.connection.isClosed, true);
});

test("tcp: binary garbage is messages and a tail, never a failure", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }),
      async (chunks) => {
        const { engine, dial } = await tcpScene({
          messageBytesMax: 50,
          acknowledge: "count-bytes",
        });
        const peer = dial();
        for (const chunk of chunks) peer.send(chunk);
        peer.end();
        await engine.commit();
        assert.deepEqual(engine.failures, []);
        assert.ok(peer.isEnded);
        assert.equal(
          Buffer.concat(peer.writes.slice(-1)).reduce((sum, byte) => sum * 256 + byte, 0),
          engine.durable.length,
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("tcp: empty lines and CR are no messages and no bytes of one", async () => {
  const { engine, dial } = await tcpScene();
  const peer = dial();
  peer.send("\r\n\n\na\r\n\n");
  await engine.commit();
  assert.deepEqual(engine.durable, ["a"]);
  assert.equal(peer.text, "1\n");
});

test("tcp: documented defaults are the defaults", () => {
  const { options, redelivers } = tcp("meters", { port: 1 });
  const { framing, ...rest } = Object(options);
  assert.equal(framing.type, "lines");
  assert.deepEqual(rest, {
    port: 1,
    host: "127.0.0.1",
    acknowledge: "none",
    connectionsMax: 1_000,
    messageBytesMax: 2 ** 20,
    unfinishedBytesMax: 32 * 2 ** 20,
    idleTimeoutMs: 900_000,
  });
  assert.equal(redelivers, false);
  assert.equal(tcp("meters", { port: 1, acknowledge: "count-line" }).redelivers, true);
});

test("tcp: a port that is taken is PORT_IN_USE", async () => {
  const { engine, sockets } = await tcpScene();
  const second = new ReceiverHarness({ sockets });
  await assert.rejects(second.open(tcp("gates", { port: engine.port })), { code: "PORT_IN_USE" });
});

test("tcp: framings that make no sense are refused, with what is allowed", () => {
  for (const framing of [
    { delimited: { delimiter: "" } },
    { delimited: { delimiter: "x".repeat(256) } },
  ])
    assert.throws(() => tcp("meters", { port: 1, framing }), {
      code: "CONFIG_VALUE",
      message: /framing is an object, wanted .*1 to 255 bytes.*1, 2 or 4/,
    });
});

const frames: readonly [name: string, framing: TcpInput["framing"], bytes: string][] = [
  ["lines by name", "lines", "ab\ncd\n"],
  ["a delimiter as YAML has it", { delimited: { delimiter: ";;" } }, "ab;;cd;;"],
  ["a length as YAML has it", { lengthPrefixed: { prefixBytes: 2 } }, "\0\x02ab\0\x02cd"],
  [
    "a length, little-endian",
    { lengthPrefixed: { prefixBytes: 2, endian: "little" } },
    "\x02\0ab\x02\0cd",
  ],
  ["octet counting as YAML has it", "octet-counting", "2 ab2 cd"],
  ["a framing value", lengthPrefixed({ prefixBytes: 1 }), "\x02ab\x02cd"],
];
for (const [name, framing, bytes] of frames) {
  test(`tcp: framing can be ${name}`, async () => {
    const { engine, dial } = await tcpScene(framing === undefined ? {} : { framing });
    const peer = dial();
    peer.send(Buffer.from(bytes, "latin1"));
    await engine.commit();
    assert.deepEqual(engine.durable, ["ab", "cd"]);
  });
}
