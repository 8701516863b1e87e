import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Breaker, BreakerEvent, BreakerOptions } from "../../src/contract/breaker.ts";
import { createBreaker } from "../../src/pool/breaker.ts";
import { BREAKER_DEFAULTS } from "../../src/pool/breaker-options.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { equalJitter, withoutJitter } from "../../supervisors/backoff.ts";
import { type Deferred, deferred } from "../support/deferred.ts";
import { readText, repositoryRoot } from "../support/repository.ts";
import { manyRuns } from "../support/runs.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const BREAKS = withoutJitter({ minMs: 100, maxMs: 400, resetAfterMs: 2_000 });

interface Scene {
  readonly breaker: Breaker;
  readonly clock: VirtualClock;
  readonly events: readonly BreakerEvent[];
  readonly fail: (count: number) => Promise<void>;
  readonly succeed: (count: number) => Promise<void>;
}

/** Opens when half of at least 4 calls fail, for 100, 200, 400 ms; two tries of a second. */
function scene(options: Partial<BreakerOptions> = {}): Scene {
  const clock = new VirtualClock();
  const events: BreakerEvent[] = [];
  const breaker = createBreaker({
    name: "store",
    windowCalls: 8,
    windowMs: 1_000,
    callsMin: 4,
    probesMax: 2,
    probeDeadlineMs: 1_000,
    breaks: BREAKS,
    clock,
    random: createSeededRandom(1),
    onEvent: (event) => void events.push(event),
    ...options,
  });
  const fail = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++)
      await rejects(
        breaker.run(() => Promise.reject(new TypeError("no"))),
        TypeError,
      );
  };
  const succeed = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++)
      equal(await breaker.run(() => Promise.resolve(7)), 7);
  };
  return { breaker, clock, events, fail, succeed };
}

test("breaker: opens at its ratio, but not before the smallest number of calls", async () => {
  const { breaker, fail, succeed } = scene();
  await fail(3);
  equal(breaker.state().status, "closed");
  await succeed(1);
  equal(breaker.state().status, "open");
  await rejects(
    breaker.run(() => Promise.resolve(1)),
    {
      code: "BREAKER_OPEN",
      message: "store is open: 3 of 4 calls failed, 0 were slow, tried again in 100 ms",
    },
  );
  breaker.close();
});

test("breaker: the window forgets by time and by number of calls", async () => {
  const { breaker, clock, fail, succeed } = scene();
  await fail(3);
  await clock.advance(1_000);
  await fail(3);
  equal(breaker.state().status, "closed");
  deepEqual([breaker.state().calls, breaker.state().failed], [3, 3]);
  await clock.advance(1_000);
  await succeed(8);
  await fail(3);
  deepEqual([breaker.state().calls, breaker.state().failed], [8, 3]);
  await fail(1);
  equal(breaker.state().status, "open");
  breaker.close();
});

test("breaker: slow calls open it too", async () => {
  const { breaker, clock } = scene({ slowAfterMs: 50 });
  const never = new AbortController().signal;
  const calls = [60, 60, 10, 10].map((ms) => breaker.run(() => clock.sleep(ms, never)));
  await clock.advance(60);
  await Promise.all(calls);
  equal(breaker.state().status, "open");
  equal(breaker.state().slow, 2);
  breaker.close();
});

test("breaker: half-open lets its tries through, closes when all succeeded, and waits longer when not", async () => {
  const { breaker, clock, events, fail, succeed } = scene();
  await fail(4);
  for (const breakMs of [100, 200, 400, 400]) {
    await clock.advance(breakMs - 1);
    equal(breaker.state().status, "open");
    equal(breaker.state().triesInMs, 1);
    await clock.advance(1);
    equal(breaker.state().status, "half-open");
    await fail(1);
    equal(breaker.state().status, "open");
  }
  await clock.advance(400);
  const first = deferred<void>();
  const running = breaker.run(() => first.promise);
  await succeed(1);
  await rejects(
    breaker.run(() => Promise.resolve()),
    /half-open: 2 calls may try/,
  );
  first.resolve();
  await running;
  equal(breaker.state().status, "closed");
  equal(clock.timerCount, 0);
  const breaks = events.flatMap((event) => ("breakMs" in event ? (event.breakMs ?? []) : []));
  deepEqual(breaks, [100, 200, 400, 400, 400]);
});

test("breaker: the break is short again only after it was closed for long", async () => {
  const { breaker, clock, fail, succeed } = scene();
  const openAgain = async (breakMs: number): Promise<void> => {
    await fail(4);
    equal(breaker.state().triesInMs, breakMs);
    await clock.advance(breakMs);
    await succeed(2);
  };
  await clock.advance(2_000);
  await openAgain(100);
  await openAgain(200);
  await clock.advance(1_999);
  await openAgain(400);
  await clock.advance(2_000);
  await openAgain(100);
  equal(clock.timerCount, 0);
});

test("breaker: a try that never ends opens it again at its deadline, and its late result changes nothing", async () => {
  const { breaker, clock, fail } = scene();
  await fail(4);
  await clock.advance(100);
  const stuck = deferred<void>();
  const running = breaker.run(() => stuck.promise);
  await clock.advance(999);
  equal(breaker.state().status, "half-open");
  await clock.advance(1);
  equal(breaker.state().status, "open");
  const { generation } = breaker.state();
  stuck.resolve();
  await running;
  deepEqual([breaker.state().status, breaker.state().generation], ["open", generation]);
  breaker.close();
});

test("breaker: when fewer try than may, it closes at the deadline of the last one", async () => {
  const { breaker, clock, fail, succeed } = scene();
  await fail(4);
  await clock.advance(100);
  await succeed(1);
  equal(breaker.state().status, "half-open");
  await clock.advance(1_000);
  equal(breaker.state().status, "closed");
  equal(clock.timerCount, 0);
});

test("breaker: a call from before the break changes nothing when it fails after it", async () => {
  const { breaker, clock, fail, succeed } = scene();
  const old = [1, 2, 3, 4, 5].map(() => deferred<void>());
  const running = old.map((each) => breaker.run(() => each.promise));
  await fail(4);
  await clock.advance(100);
  await succeed(2);
  equal(breaker.state().status, "closed");
  for (const each of old) each.reject(new Error("long ago"));
  await Promise.allSettled(running);
  deepEqual([breaker.state().status, breaker.state().calls], ["closed", 0]);
});

test("breaker: isolated by hand until reset by hand", async () => {
  const { breaker, clock, fail, succeed } = scene();
  breaker.isolate();
  await clock.advance(3_600_000);
  await rejects(
    breaker.run(() => Promise.resolve()),
    {
      code: "BREAKER_OPEN",
      message: "store is isolated: by hand",
      fix: "reset the breaker",
    },
  );
  breaker.reset();
  await succeed(1);
  await fail(3);
  equal(breaker.state().status, "open");
  breaker.reset();
  await succeed(1);
  equal(clock.timerCount, 0);
});

test("breaker: only what counts as a failure is one; a judge that throws counts it", async () => {
  const { breaker } = scene({ isFailure: (error) => !(error instanceof TypeError) });
  for (let index = 0; index < 9; index++)
    await rejects(breaker.run(() => Promise.reject(new TypeError("mine"))));
  equal(breaker.state().status, "closed");
  const strict = scene({
    isFailure: () => {
      throw new Error("cannot say");
    },
  });
  await strict.fail(4);
  equal(strict.breaker.state().status, "open");
  strict.breaker.close();
});

test("breaker: options are checked, and the documented defaults hold", () => {
  const wrong: readonly Partial<BreakerOptions>[] = [
    { windowCalls: 0 },
    { windowCalls: 10_001 },
    { callsMin: 9 },
    { callsMin: 1.5 },
    { failureRatio: 0 },
    { slowRatio: 1.1 },
    { probesMax: 0 },
    { probeDeadlineMs: Infinity },
    { windowMs: 0 },
    { slowAfterMs: -1 },
  ];
  for (const options of wrong)
    throws(() => scene(options), {
      code: "CONFIG_OUT_OF_RANGE",
      message: /^breaker store: \w+ is/,
    });
  const text = readText(repositoryRoot(), "src/contract/breaker.ts");
  const documented = Array.from(
    text.matchAll(/@defaultValue ([\d.,]+|Infinity) \*\/\s+readonly (\w+)\?/g),
    ([, value = "", name = ""]) => [name, Number(value.replaceAll(",", ""))] as const,
  );
  equal(documented.length, 8);
  for (const [name, value] of documented)
    equal(Object.entries(BREAKER_DEFAULTS).find(([key]) => key === name)?.[1], value, name);
  deepEqual(
    BREAKER_DEFAULTS.breaks,
    equalJitter({ minMs: 1_000, maxMs: 60_000, resetAfterMs: 60_000 }),
  );
});

type Command =
  | { readonly kind: "call" }
  | { readonly kind: "settle"; readonly pick: number; readonly isFailed: boolean }
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "isolate" | "reset" };

interface Call {
  readonly generation: number;
  readonly end: Deferred<void>;
}

const LIMIT = { windowCalls: 8, windowMs: 1_000, callsMin: 4, probesMax: 2, deadlineMs: 1_000 };

/** One breaker under random calls, and what may be said of it from outside. */
class Play {
  readonly scene = scene();
  readonly #calls: Call[] = [];
  /** Of the closed generation: end and failure of each call. */
  #ended: { readonly atMs: number; readonly isFailed: boolean }[] = [];
  #generation = 0;
  #tries = 0;
  #lastTryMs = 0;

  async run(command: Command): Promise<void> {
    const { breaker, clock } = this.scene;
    switch (command.kind) {
      case "call":
        await this.#call();
        break;
      case "settle":
        await this.#settle(command.pick, command.isFailed);
        break;
      case "advance":
        await clock.advance(command.ms);
        break;
      case "isolate":
        breaker.isolate();
        break;
      case "reset":
        breaker.reset();
        break;
    }
    this.#check();
  }

  async #call(): Promise<void> {
    const { breaker, clock } = this.scene;
    const { status, generation } = breaker.state();
    const end = deferred<void>();
    let isMade = false;
    const running = breaker.run(() => {
      isMade = true;
      return end.promise;
    });
    running.catch(() => undefined);
    await clock.settle();
    if (status === "open" || status === "isolated") equal(isMade, false, `${status} lets none in`);
    if (status === "closed") equal(isMade, true);
    if (!isMade) return;
    this.#calls.push({ generation, end });
    this.#notice();
    if (status !== "half-open") return;
    this.#tries++;
    this.#lastTryMs = clock.monotonicMs();
    ok(this.#tries <= LIMIT.probesMax, `${this.#tries} tries`);
  }

  async #settle(pick: number, isFailed: boolean): Promise<void> {
    const { breaker, clock } = this.scene;
    const [call] = this.#calls.splice(pick % Math.max(1, this.#calls.length), 1);
    if (call === undefined) return;
    const before = breaker.state();
    if (isFailed) call.end.reject(new Error("no"));
    else call.end.resolve();
    await clock.settle();
    if (call.generation !== before.generation)
      return deepEqual(breaker.state(), before, "an older generation changes nothing");
    if (before.status !== "closed") return;
    this.#ended.push({ atMs: clock.monotonicMs(), isFailed });
    const recent = this.#ended
      .filter(({ atMs }) => clock.monotonicMs() - atMs < LIMIT.windowMs)
      .slice(-LIMIT.windowCalls);
    const failed = recent.filter((each) => each.isFailed).length;
    const isBad = recent.length >= LIMIT.callsMin && failed * 2 >= recent.length;
    equal(breaker.state().status, isBad ? "open" : "closed", `${failed} of ${recent.length}`);
  }

  /** A new generation begins with nothing. */
  #notice(): void {
    const { generation } = this.scene.breaker.state();
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#ended = [];
    this.#tries = 0;
  }

  #check(): void {
    this.#notice();
    const { breaker, clock } = this.scene;
    const { status } = breaker.state();
    if (status === "half-open" && this.#tries > 0)
      ok(clock.monotonicMs() - this.#lastTryMs < LIMIT.deadlineMs, "stuck half-open");
    if (status === "closed" || status === "isolated") equal(clock.timerCount, 0);
  }
}

test("breaker: invariant 21 holds over random calls", async () => {
  const commands: fc.Arbitrary<Command> = fc.oneof(
    { weight: 6, arbitrary: fc.constant<Command>({ kind: "call" }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("settle" as const),
        pick: fc.nat(5),
        isFailed: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("advance" as const),
        ms: fc.constantFrom(1, 50, 100, 400, 1_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom("isolate" as const, "reset" as const) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(commands, { maxLength: 60, size: "max" }), async (steps) => {
      const play = new Play();
      for (const step of steps) await play.run(step);
      play.scene.breaker.close();
      equal(play.scene.clock.timerCount, 0);
    }),
    manyRuns,
  );
});
