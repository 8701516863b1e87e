/**
 * The pool on real sockets, through a proxy that goes wrong. Sockets are the machine's, deadlines and pauses are the
 * pool's, and those run on a clock that the test moves: nothing here depends on how fast the machine is.
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Pool, PoolEvent, PoolOptions } from "../../src/contract/pool.ts";
import { realSockets } from "../../src/host/real-sockets.ts";
import { createPool } from "../../src/pool/pool.ts";
import { PROBE_BACKOFF } from "../../src/pool/governor.ts";
import { createSeededRandom, FaultProxy, VirtualClock } from "../../src/testing/index.ts";
import { delayMs } from "../../supervisors/backoff.ts";
import { repositoryRoot } from "../support/repository.ts";
import { timed } from "../support/timed.ts";
import {
  addressOf,
  type LineClient,
  lineConnector,
  LineServer,
  type OpenStream,
  plainStreams,
  tlsStreams,
} from "./line-server.ts";

interface SceneOptions extends Partial<PoolOptions<LineClient>> {
  readonly greets?: boolean;
  readonly open?: OpenStream;
}

/** Servers, a proxy before each, and a pool that knows the proxies. */
class Scene implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly events: PoolEvent[] = [];
  readonly pool: Pool<LineClient>;
  readonly servers: readonly LineServer[];
  readonly proxies: readonly FaultProxy[];
  readonly #wakes = new Set<() => void>();

  private constructor(
    servers: readonly LineServer[],
    proxies: readonly FaultProxy[],
    { greets = true, open = plainStreams(realSockets()), ...options }: SceneOptions,
  ) {
    this.servers = servers;
    this.proxies = proxies;
    this.pool = createPool({
      name: "lines",
      connector: lineConnector({ open, greets }),
      addresses: proxies.map(({ endpoint }) => addressOf(endpoint)),
      connectionsMax: 4,
      clock: this.clock,
      random: createSeededRandom(1),
      onEvent: (event) => {
        this.events.push(event);
        for (const wake of this.#wakes) wake();
      },
      ...options,
    });
  }

  static async with(servers: readonly LineServer[], options: SceneOptions = {}): Promise<Scene> {
    const proxies = await Promise.all(
      servers.map(({ endpoint }) => FaultProxy.start({ target: endpoint })),
    );
    return new Scene(servers, proxies, options);
  }

  static async of(names: readonly string[], options: SceneOptions = {}): Promise<Scene> {
    return Scene.with(await Promise.all(names.map((name) => LineServer.start(name))), options);
  }

  get proxy(): FaultProxy {
    const [proxy] = this.proxies;
    ok(proxy !== undefined);
    return proxy;
  }

  ask(line: string): Promise<string> {
    return this.pool.with((client) => client.ask(line));
  }

  /** Resolves when the pool has told something like this. */
  async told(match: Readonly<Record<string, unknown>>): Promise<void> {
    const fits = (event: PoolEvent): boolean =>
      Object.entries(match).every(([field, value]) => Reflect.get(event, field) === value);
    while (!this.events.some(fits))
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#wakes.delete(wake);
          resolve();
        };
        this.#wakes.add(wake);
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await timed(this.clock, this.pool.close());
    for (const proxy of this.proxies) await proxy.close();
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    equal(this.clock.timerCount, 0);
  }
}

/** Most connects that the probes of one endpoint can come to in this time, when each fails. */
function probesMax(ms: number): number {
  const failuresBefore = 2;
  let probes = 0;
  for (let atMs = 0; ; probes += 1) {
    atMs += delayMs(PROBE_BACKOFF, probes, 0);
    if (atMs > ms) return failuresBefore + probes;
  }
}

test("pool on sockets: refused, it goes down, probes alone, comes back and serves everybody who waited", async () => {
  await using scene = await Scene.of(["a"], { acquireDeadlineMs: 300_000 });
  await scene.proxy.set({ kind: "refuse" });
  const answers = Array.from({ length: 50 }, (_, index) => scene.ask(`${index}`));
  await timed(scene.clock, scene.told({ kind: "endpoint", status: "down" }));
  await scene.clock.advance(60_000);
  const { totals, waiting } = scene.pool.stats();
  deepEqual([waiting, totals.refused], [50, 0]);
  ok(totals.connects <= probesMax(60_000), `${totals.connects} connects`);
  await scene.proxy.set({ kind: "none" });
  deepEqual(
    await timed(scene.clock, Promise.all(answers)),
    answers.map((_, index) => `a ${index}`),
  );
  ok(scene.proxy.acceptedCount <= 4, scene.proxy.explain());
});

test("pool on sockets: a black hole costs a connect its deadline, and its socket", async () => {
  await using scene = await Scene.of(["a"], { connectDeadlineMs: 5_000 });
  await scene.proxy.set({ kind: "black-hole" });
  const answer = scene.ask("x");
  await scene.proxy.saw({ what: "swallowed", connection: 1 });
  await scene.clock.advance(4_999);
  equal(scene.pool.stats().connecting, 1);
  await scene.clock.advance(1);
  await scene.proxy.saw({ what: "ended", connection: 1, from: "client" });
  equal(Reflect.get(scene.pool.stats().lastConnectError ?? {}, "code"), "CONNECTION_STALLED");
  await scene.proxy.set({ kind: "none" });
  equal(await timed(scene.clock, answer), "a x");
});

test("pool on sockets: a connection that fell silent while idle fails its check, and the caller gets another one", async () => {
  await using scene = await Scene.of(["a"], { checkDeadlineMs: 2_000 });
  equal(await scene.ask("x"), "a x");
  scene.proxy.strike({ kind: "black-hole" }, 1);
  await scene.clock.advance(1_000);
  const answer = scene.ask("y");
  await scene.proxy.saw({ what: "swallowed", connection: 1, from: "client" });
  await scene.clock.advance(2_000);
  await scene.told({ kind: "ended", why: "check-failed" });
  equal(await timed(scene.clock, answer), "a y");
  await scene.proxy.saw({ what: "ended", connection: 1, from: "client" });
  equal(scene.proxy.acceptedCount, 2);
});

test("pool on sockets: a half-open peer is found at the progress deadline; who waited is served by a new connection", async () => {
  await using scene = await Scene.of(["a"], { connectionsMax: 1, progressDeadlineMs: 10_000 });
  equal(await scene.ask("x"), "a x");
  scene.proxy.strike({ kind: "half-open" }, 1);
  const cut = rejects(scene.ask("y"), { code: "CONNECTION_STALLED" });
  const waiting = scene.ask("z");
  await scene.proxy.saw({ what: "swallowed", connection: 1, from: "client" });
  await scene.clock.advance(9_999);
  equal(scene.pool.stats().leased, 1);
  await scene.clock.advance(1);
  await cut;
  await scene.told({ kind: "ended", why: "stalled" });
  equal(await timed(scene.clock, waiting), "a z");
  await scene.proxy.saw({ what: "ended", connection: 1, from: "client" });
  deepEqual([scene.proxy.acceptedCount, scene.pool.stats().totals.lost], [2, 1]);
});

test("pool on sockets: a half-open peer is found by the machine's clock too", async () => {
  await using server = await LineServer.start("a");
  await using proxy = await FaultProxy.start({ target: server.endpoint });
  const pool = createPool({
    name: "lines",
    connector: lineConnector({ open: plainStreams(realSockets()), greets: true }),
    addresses: [addressOf(proxy.endpoint)],
    connectionsMax: 1,
    progressDeadlineMs: 1_000,
  });
  try {
    await proxy.set((connection) =>
      connection === 1
        ? { kind: "half-open", after: { bytes: "hello\n".length, from: "client" } }
        : { kind: "none" },
    );
    const ask = (line: string): Promise<string> => pool.with((client) => client.ask(line));
    const cut = rejects(ask("x"), { code: "CONNECTION_STALLED" });
    const waiting = ask("y");
    await cut;
    equal(await waiting, "a y", proxy.explain());
  } finally {
    await pool.close();
  }
});

test("pool on sockets: a reset in the middle of a lease costs that connection, and no other", async () => {
  await using scene = await Scene.of(["a"]);
  const leases = [];
  for (let count = 0; count < 3; count += 1) leases.push(await scene.pool.acquire());
  const [first, struck, third] = leases;
  ok(first !== undefined && struck !== undefined && third !== undefined);
  const asked = rejects(struck.connection.ask("hang"), { code: "ECONNRESET" });
  await scene.proxy.saw({ what: "passed", connection: 2, from: "client", bytes: 5 });
  scene.proxy.strike({ kind: "reset" }, 2);
  await asked;
  await scene.told({ kind: "ended", why: "broke" });
  equal(struck.signal.aborted, true);
  deepEqual([first.signal.aborted, third.signal.aborted], [false, false]);
  deepEqual(await Promise.all([first.connection.ask("1"), third.connection.ask("3")]), [
    "a 1",
    "a 3",
  ]);
  for (const lease of leases) lease.release();
  equal(await scene.ask("4"), "a 4");
  deepEqual([scene.pool.stats().total, scene.proxy.acceptedCount], [2, 3]);
});

for (const [when, after] of [
  ["at once", undefined],
  ["at the first request", { bytes: 0, from: "client" }],
] as const)
  test(`pool on sockets: a server that accepts and kicks ${when} is probed with pauses, however eager its callers`, async () => {
    await using scene = await Scene.of(["a"], { greets: false, acquireDeadlineMs: 300_000 });
    await scene.proxy.set(after === undefined ? { kind: "kick" } : { kind: "kick", after });
    const answers = Array.from({ length: 10 }, async (_, index) => {
      for (;;)
        try {
          return await scene.ask(`${index}`);
        } catch {
          // Asks again at once.
        }
    });
    const periodMs = 60_000;
    while (scene.clock.monotonicMs() < periodMs) await scene.clock.advance(50);
    const connects = scene.pool.stats().totals.connects;
    ok(connects <= probesMax(periodMs), `${connects} connects, at most ${probesMax(periodMs)}`);
    ok(scene.proxy.acceptedCount > 5, scene.proxy.explain());
    await scene.proxy.set({ kind: "none" });
    await timed(scene.clock, Promise.all(answers));
  });

function certificate(name: "first" | "second"): { readonly key: Buffer; readonly cert: Buffer } {
  const file = (kind: string): Buffer =>
    readFileSync(join(repositoryRoot(), "test/fixtures/tls", `${name}.${kind}.pem`));
  return { key: file("key"), cert: file("cert") };
}

test("pool on sockets: a certificate that nobody trusts parks the endpoint until somebody resumes the pool", async () => {
  const [before, after] = [certificate("first"), certificate("second")];
  let trusted: readonly Buffer[] = [before.cert];
  const old = await LineServer.start("old", before);
  const successor = await LineServer.start("new", after);
  await using scene = await Scene.with([old], { open: tlsStreams(() => trusted) });
  await using _ = successor;
  equal(await timed(scene.clock, scene.ask("x")), "old x");
  scene.proxy.point(successor.endpoint);
  scene.proxy.strike({ kind: "reset" });
  await scene.told({ kind: "ended", why: "broke" });
  await rejects(timed(scene.clock, scene.ask("y")), { code: "POOL_PARKED" });
  const { connects } = scene.pool.stats().totals;
  await scene.clock.advance(3_600_000);
  equal(scene.pool.stats().totals.connects, connects);
  trusted = [before.cert, after.cert];
  scene.pool.resume();
  equal(await timed(scene.clock, scene.ask("z")), "new z");
});

test("pool on sockets: the next endpoint takes over, and the preferred one gets it back", async () => {
  await using scene = await Scene.of(["a", "b"]);
  const [preferred, other] = scene.proxies;
  ok(preferred !== undefined && other !== undefined);
  equal(await scene.ask("1"), "a 1");
  await preferred.set({ kind: "refuse" });
  preferred.strike({ kind: "reset" });
  await scene.told({ kind: "ended", why: "broke" });
  equal(await timed(scene.clock, scene.ask("2")), "b 2");
  equal(scene.pool.stats().endpoints[0]?.status, "down");
  await preferred.set({ kind: "none" });
  const address = addressOf(preferred.endpoint);
  await timed(scene.clock, scene.told({ kind: "endpoint", status: "recovering", address }));
  equal(await timed(scene.clock, scene.ask("3")), "a 3");
  await scene.told({ kind: "endpoint", status: "up", address });
});
