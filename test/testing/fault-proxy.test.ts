import { deepEqual, doesNotMatch, equal, match, rejects, throws } from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as tls from "node:tls";
import {
  type ConnectionFault,
  FaultProxy,
  type FaultTrigger,
  VirtualClock,
} from "../../src/testing/index.ts";
import { repositoryRoot } from "../support/repository.ts";
import { Client, Echo, roundTrip, scene } from "./fault-proxy-scene.ts";

const noFault: ConnectionFault = { kind: "none" };
const firstByte: FaultTrigger = { bytes: 0, from: "client" };

test("fault proxy: without a fault bytes and ends go through, both ways and whole", () =>
  scene(async (proxy, echo) => {
    const client = new Client(proxy);
    const text = "0123456789".repeat(100_000);
    await client.echoes(text);
    equal(client.text, text);
    client.socket.end();
    await client.gone();
    deepEqual(client.told, ["connect", "end", "close"]);
    equal(echo.received.length, text.length);
    await proxy.saw({ what: "closed", from: "server" });
    deepEqual(proxy.open, []);
  }));

test("fault proxy: a side that does not read holds the other one back", () =>
  scene(async (proxy, echo) => {
    const client = new Client(proxy);
    await client.echoes("x");
    echo.sockets[0]?.pause();
    // More than the buffers of four sockets take.
    for (let chunks = 0; chunks < 64; chunks += 1) client.socket.write(Buffer.alloc(1_000_000));
    for (let unsent = Infinity; client.socket.writableLength < unsent; ) {
      unsent = client.socket.writableLength;
      for (let trips = 0; trips < 3; trips += 1) await roundTrip(proxy);
    }
    equal(client.socket.writableLength > 0, true);
  }));

test("fault proxy: refuse is ECONNREFUSED, again and again, on a port that comes back", () =>
  scene(async (proxy) => {
    const early = new Client(proxy);
    await early.echoes("before");
    for (let times = 0; times < 3; times += 1) {
      await proxy.set({ kind: "refuse" });
      const refused = new Client(proxy);
      await refused.gone();
      deepEqual(refused.told, ["ECONNREFUSED", "close"]);
      await roundTrip(proxy);
    }
    await early.echoes(" and after");
    equal(proxy.acceptedCount, 4);
  }));

test("fault proxy: reset at accept is ECONNRESET, and the server never hears of it", () =>
  scene(async (proxy, echo) => {
    await proxy.set({ kind: "reset" });
    const client = new Client(proxy);
    await client.gone();
    deepEqual(client.told.slice(-2), ["ECONNRESET", "close"]);
    equal(echo.sockets.length, 0);
  }));

test("fault proxy: reset in the middle of an answer lets the bytes before it through", () =>
  scene(async (proxy) => {
    await proxy.set({ kind: "reset", after: { bytes: 5, from: "server" } });
    const client = new Client(proxy);
    client.socket.write("hello world");
    await client.gone();
    equal(client.text, "hello");
    deepEqual(client.told, ["connect", "ECONNRESET", "close"]);
  }));

test("fault proxy: reset now strikes one connection, on both sides, and no other", () =>
  scene(async (proxy, echo) => {
    const [struck, spared] = [new Client(proxy), new Client(proxy)];
    await Promise.all([struck.echoes("a"), spared.echoes("b")]);
    const number = proxy.events.find(({ what }) => what === "accepted")?.connection;
    proxy.strike({ kind: "reset" }, number);
    await struck.gone();
    deepEqual(struck.told, ["connect", "ECONNRESET", "close"]);
    await spared.echoes("still here");
    deepEqual(spared.told, ["connect"]);
    equal(echo.sockets.filter(({ destroyed }) => destroyed).length, 1);
  }));

test("fault proxy: a black hole accepts and never answers", () =>
  scene(async (proxy, echo) => {
    await proxy.set({ kind: "black-hole" });
    const client = new Client(proxy);
    client.socket.write("anybody?");
    await proxy.saw({ what: "swallowed", from: "client", bytes: 8 });
    await roundTrip(proxy);
    deepEqual([client.told, client.text], [["connect"], ""]);
    equal(echo.received, "are you there?");
  }));

test("fault proxy: a black hole after so many bytes passes those, then eats bytes and ends of both sides", () =>
  scene(async (proxy, echo) => {
    await proxy.set({ kind: "black-hole", after: { bytes: 4, from: "client" } });
    const client = new Client(proxy);
    client.socket.write("readings");
    await proxy.saw({ what: "swallowed", from: "client", bytes: 4 });
    await proxy.saw({ what: "swallowed", from: "server" });
    client.socket.end();
    await proxy.saw({ what: "ended", from: "client", connection: 1 });
    await roundTrip(proxy);
    equal(echo.received, "readare you there?");
    deepEqual([client.told, client.text], [["connect"], ""]);
    equal(echo.sockets[0]?.readableEnded, false);
  }));

test("fault proxy: when a black hole ends, what comes later goes through", () =>
  scene(async (proxy, echo) => {
    const client = new Client(proxy);
    await client.echoes("1");
    proxy.strike({ kind: "black-hole" });
    client.socket.write("2");
    await proxy.saw({ what: "swallowed", from: "client" });
    proxy.strike(noFault);
    await client.echoes("3");
    deepEqual([client.text, echo.received], ["13", "13"]);
  }));

test("fault proxy: half open is silence for the client; its server is gone", () =>
  scene(async (proxy, echo) => {
    const client = new Client(proxy);
    await client.echoes("hello");
    proxy.strike({ kind: "half-open" }, 1);
    await proxy.saw({ what: "closed", from: "server", connection: 1 });
    client.socket.write("still there?");
    await proxy.saw({ what: "swallowed", from: "client", bytes: 12 });
    client.socket.end();
    await proxy.saw({ what: "ended", from: "client", connection: 1 });
    await roundTrip(proxy);
    deepEqual([client.told, client.text], [["connect"], "hello"]);
    equal(echo.received, "helloare you there?");
    deepEqual(proxy.open, [1]);
    // Nothing brings the server back: the machine that was rebooted answers with a reset.
    proxy.strike(noFault, 1);
    proxy.strike({ kind: "reset" }, 1);
    await client.gone();
    deepEqual(client.told, ["connect", "ECONNRESET", "close"]);
  }));

test("fault proxy: kick is a connection and its orderly end", () =>
  scene(async (proxy, echo) => {
    await proxy.set({ kind: "kick" });
    const client = new Client(proxy);
    const ended = once(client.socket, "end");
    client.socket.write("hello");
    await Promise.all([ended, proxy.saw({ what: "swallowed", bytes: 5 })]);
    // Orderly: what the client still says is heard, and not answered with a reset.
    client.socket.write("but wait");
    await proxy.saw({ what: "swallowed", bytes: 8 });
    client.socket.end();
    await client.gone();
    deepEqual(client.told, ["connect", "end", "close"]);
    equal(echo.sockets.length, 0);
  }));

test("fault proxy: kick after the first request lets nothing of it through", () =>
  scene(async (proxy, echo) => {
    await proxy.set({ kind: "kick", after: firstByte });
    const client = new Client(proxy);
    await proxy.saw({ what: "connected" });
    await roundTrip(proxy);
    deepEqual(client.told, ["connect"]);
    client.socket.end("hello");
    await client.gone();
    deepEqual(client.told, ["connect", "end", "close"]);
    equal(echo.received, "are you there?");
  }));

test("fault proxy: each connection can have a fault of its own", () =>
  scene(async (proxy) => {
    await proxy.set((connection) => (connection <= 2 ? { kind: "kick" } : noFault));
    const clients: Client[] = [];
    for (let count = 0; count < 3; count += 1) {
      const client = new Client(proxy);
      clients.push(client);
      await once(client.socket, count < 2 ? "end" : "connect");
    }
    await clients[2]?.echoes("third time lucky");
    deepEqual(
      clients.map(({ told }) => told.includes("end")),
      [true, true, false],
    );
    for (const { socket } of clients) socket.destroy();
  }));

/** Lets the loop run until the proxy waits for the clock. */
async function delaying(clock: VirtualClock): Promise<void> {
  while (clock.timerCount === 0) await clock.settle();
}

test("fault proxy: slow passes so many bytes a second, by its clock", () => {
  const clock = new VirtualClock();
  return scene(async (proxy, echo) => {
    await proxy.set({ kind: "slow", bytesPerSecond: 1000 });
    const client = new Client(proxy);
    await proxy.saw({ what: "connected" });
    client.socket.write("x".repeat(250));
    const passed = (): readonly (number | undefined)[] =>
      proxy.events
        .filter(({ what, from }) => what === "passed" && from === "client")
        .map(({ bytes }) => bytes);
    await delaying(clock);
    await clock.advance(99);
    deepEqual(passed(), []);
    await clock.advance(1);
    deepEqual(passed(), [100]);
    await delaying(clock);
    // Another fault takes over in the middle of a wait; the bytes keep their order.
    proxy.strike(noFault);
    while (client.text.length < 250) await once(client.socket, "data");
    deepEqual(passed(), [100, 100, 50]);
    equal(echo.received.length, 250);
    equal(clock.timerCount, 0);
  }, clock);
});

test("fault proxy: slow holds each chunk back by its latency; a reset ends the wait", () => {
  const clock = new VirtualClock();
  return scene(async (proxy) => {
    await proxy.set({ kind: "slow", latencyMs: 30_000 });
    const client = new Client(proxy);
    client.socket.write("x");
    await delaying(clock);
    await clock.advance(29_999);
    equal(
      proxy.events.some(({ what }) => what === "passed"),
      false,
    );
    await clock.advance(1);
    await proxy.saw({ what: "passed", from: "client", bytes: 1 });
    await delaying(clock);
    proxy.strike({ kind: "reset" });
    await client.gone();
    deepEqual(client.told, ["connect", "ECONNRESET", "close"]);
    equal(clock.timerCount, 0);
  }, clock);
});

test("fault proxy: a server that is not there is a reset for the client, and is told", async () => {
  const echo = await Echo.on();
  const { endpoint } = echo;
  await echo[Symbol.asyncDispose]();
  await using proxy = await FaultProxy.start({ target: endpoint });
  const client = new Client(proxy);
  await client.gone();
  equal(client.told.at(-2), "ECONNRESET");
  await proxy.saw({ what: "closed", from: "server", code: "ECONNREFUSED" });
});

function certificate(name: "first" | "second"): { readonly key: Buffer; readonly cert: Buffer } {
  const file = (kind: string): Buffer =>
    readFileSync(join(repositoryRoot(), "test/fixtures/tls", `${name}.${kind}.pem`));
  return { key: file("key"), cert: file("cert") };
}

test("fault proxy: another certificate is another server behind the same address", async () => {
  const [before, after] = [certificate("first"), certificate("second")];
  await using first = await Echo.on(tls.createServer(before));
  await using second = await Echo.on(tls.createServer(after));
  await using proxy = await FaultProxy.start({ target: first.endpoint });
  const greet = async (ca: readonly Buffer[]): Promise<string> => {
    const socket = tls.connect({ ...proxy.endpoint, ca: [...ca] });
    try {
      await once(socket, "secureConnect");
      return String(socket.getPeerCertificate().subject.CN);
    } finally {
      socket.destroy();
    }
  };
  equal(await greet([before.cert]), "holdfast test first");
  proxy.point(second.endpoint);
  await rejects(greet([before.cert]), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  equal(await greet([before.cert, after.cert]), "holdfast test second");
});

test("fault proxy: a wait that cannot end says what happened instead", () =>
  scene(async (proxy) => {
    const client = new Client(proxy);
    await client.echoes("hello");
    const waiting = proxy.saw({ what: "struck", fault: "reset" });
    const told = rejects(
      waiting,
      /"fault":"reset".* never came; what did:.*#1 passed 5 bytes from the server/s,
    );
    const reason = new Error("no longer wanted");
    const controller = new AbortController();
    const stopped = rejects(proxy.saw({ what: "refusing" }, controller.signal), reason);
    controller.abort(reason);
    await stopped;
    await rejects(proxy.saw({ what: "refusing" }, controller.signal), reason);
    throws(() => proxy.strike({ kind: "reset" }, 2), /no connection 2:\nfault proxy on port \d+/);
    await proxy.close();
    await told;
    await rejects(proxy.saw({ what: "refusing" }), /the proxy is closed/);
    client.socket.end();
    await client.gone();
    await proxy.close();
  }));

test("fault proxy: the newest 1000 events are kept, and the others counted", () =>
  scene(async (proxy) => {
    const client = new Client(proxy);
    for (let count = 0; count < 600; count += 1) await client.echoes("x");
    equal(proxy.events.length, 1000);
    match(proxy.explain(), /\((20[0-9]) earlier events\)/);
    doesNotMatch(proxy.explain(), /listening/);
  }));
