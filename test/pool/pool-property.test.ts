import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Connector, Lease, Pool, PoolEvent } from "../../src/contract/pool.ts";
import { PROBE_BACKOFF } from "../../src/pool/governor.ts";
import { createPool } from "../../src/pool/pool.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { manyRuns } from "../support/runs.ts";
import { type PeerConnection, ScriptedPeer } from "../support/scripted-peer.ts";
import { EndpointModel } from "./endpoint-model.ts";
import {
  type CallerFate,
  type Command,
  commands,
  type ConnectionFate,
  type Setting,
  settings,
} from "./pool-commands.ts";

const CONNECT_DEADLINE_MS = 400;
const CHECK_DEADLINE_MS = 200;
const PROGRESS_DEADLINE_MS = 1_000;
/** Backoff cap, connect deadline, and a check of each connection that is no good. */
const HEALED_MS = PROBE_BACKOFF.maxMs + CONNECT_DEADLINE_MS + 4 * CHECK_DEADLINE_MS + 1_000;

/** A caller, from its question to the end of its lease. */
interface Caller {
  readonly id: number;
  readonly abort: AbortController;
  lease: Lease<PeerConnection> | undefined;
  status: "waiting" | "holding" | "gone";
  pendingSinceMs: number;
  answered: () => void;
}

/** Lets a test say that nobody holds a lease any more. */
class Forgotten {
  readonly tokens = new Map<object, object>();
  reclaim: (token: never) => void = () => undefined;
}

class Play {
  readonly peer = new ScriptedPeer();
  readonly clock = this.peer.clock;
  readonly setting: Setting;
  readonly pool: Pool<PeerConnection>;
  readonly callers: Caller[] = [];
  readonly models = new Map<string, EndpointModel>();
  /** Connections by the event log alone. */
  readonly ready = new Set<number>();
  readonly leased = new Set<number>();
  readonly #forgotten = new Forgotten();
  #violations: string[] = [];

  constructor(setting: Setting) {
    this.setting = setting;
    const { connectionsMax, connectionsMin, addresses, canCheck } = setting;
    for (const address of addresses) this.models.set(address, new EndpointModel());
    const { connect, check, destroy } = this.peer;
    const connector: Connector<PeerConnection> = {
      connect,
      destroy,
      ...(canCheck ? { check } : {}),
    };
    this.pool = createPool({
      name: "play",
      addresses,
      connector,
      connectionsMax,
      connectionsMin,
      acquireDeadlineMs: 3_600_000,
      connectDeadlineMs: CONNECT_DEADLINE_MS,
      checkDeadlineMs: CHECK_DEADLINE_MS,
      progressDeadlineMs: PROGRESS_DEADLINE_MS,
      aliveWindowMs: 50,
      lifetimeMs: 4_000,
      idleTimeoutMs: 1_500,
      leakAfterMs: 500,
      clock: this.clock,
      random: createSeededRandom(1),
      onEvent: (event) => this.#note(event),
      forgotten: (reclaim) => {
        this.#forgotten.reclaim = reclaim;
        return {
          watch: (lease, token) => void this.#forgotten.tokens.set(lease, token),
          unwatch: (token) => {
            for (const [lease, each] of this.#forgotten.tokens)
              if (each === token) this.#forgotten.tokens.delete(lease);
          },
        };
      },
    });
  }

  #note(event: PoolEvent): void {
    const { connectionsMax } = this.setting;
    if ("address" in event) {
      const model = this.models.get(event.address);
      const wrong = model?.note(event, this.clock.monotonicMs(), connectionsMax);
      if (wrong !== undefined) this.#violations.push(`${event.address}: ${wrong}`);
    }
    if (event.kind === "connected") this.ready.add(event.id);
    if (event.kind === "leased") this.leased.add(event.id);
    if (event.kind === "returned") this.leased.delete(event.id);
    if (event.kind === "ended") this.#noteEnd(event.id, event.why);
  }

  /** Invariant 20. */
  #noteEnd(id: number, why: string): void {
    this.ready.delete(id);
    this.leased.delete(id);
    if (why !== "retired" && why !== "idle") return;
    const { connectionsMin } = this.setting;
    if (this.ready.size < connectionsMin)
      this.#violations.push(`${why} left ${this.ready.size} ready, min ${connectionsMin}`);
  }

  #holding(): readonly Caller[] {
    return this.callers.filter(({ status }) => status === "holding");
  }

  #acquire(canGiveUp: boolean): void {
    const caller: Caller = {
      id: this.callers.length,
      abort: new AbortController(),
      lease: undefined,
      status: "waiting",
      pendingSinceMs: Infinity,
      answered: () => undefined,
    };
    this.callers.push(caller);
    this.pool.acquire(canGiveUp ? { signal: caller.abort.signal } : {}).then(
      (lease) => this.#granted(caller, lease),
      () => {
        caller.status = "gone";
      },
    );
  }

  /** Invariant 16: one holder, first come, first served, and nobody who has left. */
  #granted(caller: Caller, lease: Lease<PeerConnection>): void {
    if (caller.status !== "waiting") this.#violations.push(`${caller.id} had given up`);
    const earlier = this.callers.find(({ id, status }) => id < caller.id && status === "waiting");
    if (earlier !== undefined && !earlier.abort.signal.aborted)
      this.#violations.push(`${caller.id} was served before ${earlier.id}`);
    caller.lease = lease;
    caller.status = "holding";
    lease.signal.addEventListener("abort", () => {
      caller.status = "gone";
    });
    if (lease.signal.aborted) caller.status = "gone";
  }

  #over(caller: Caller | undefined, end: (lease: Lease<PeerConnection>) => void): void {
    if (caller?.lease === undefined) return;
    end(caller.lease);
    caller.status = "gone";
  }

  #use(behaviour: "answer" | "throw" | "hang"): void {
    this.pool
      .with(
        async () => {
          if (behaviour === "hang") await new Promise(() => undefined);
          await this.clock.sleep(20, new AbortController().signal);
          if (behaviour === "throw") throw new Error("mine");
        },
        { deadlineMs: 100 },
      )
      .catch(() => undefined);
  }

  #forget(caller: Caller | undefined): void {
    if (caller?.lease === undefined) return;
    const token = this.#forgotten.tokens.get(caller.lease);
    caller.status = "gone";
    if (token !== undefined) this.#forgotten.reclaim(token as never);
  }

  async run(command: Command): Promise<void> {
    if (command.kind === "advance") await this.clock.advance(command.ms);
    else this.#act(command);
    await this.clock.settle();
    this.check();
  }

  #act(command: Exclude<Command, { readonly kind: "advance" }>): void {
    switch (command.kind) {
      case "acquire":
        return this.#acquire(command.canGiveUp);
      case "use":
        return this.#use(command.behaviour);
      case "caller":
        return this.#meet(command.fate, command.pick);
      case "connection":
        return harm(picked(this.peer.open(), command.pick), command.fate);
      case "set":
        return this.peer.set(command.behaviour, command.address);
      case "suspend":
        return this.pool.suspend();
      case "resume":
        return this.pool.resume();
    }
  }

  #meet(fate: CallerFate, pick: number): void {
    const caller = picked(this.#holding(), pick);
    switch (fate) {
      case "release":
        return this.#over(caller, (lease) => lease.release());
      case "poison":
        return this.#over(caller, (lease) => lease.poison(new Error("poison")));
      case "forget":
        return this.#forget(caller);
      case "pending":
        return this.#pending(caller);
      case "cancel":
        return picked(
          this.callers.filter(({ status }) => status === "waiting"),
          pick,
        )?.abort.abort(new Error("gave up"));
      case "answer":
        caller?.answered();
        if (caller !== undefined) caller.pendingSinceMs = Infinity;
    }
  }

  #pending(caller: Caller | undefined): void {
    if (caller?.lease === undefined || caller.pendingSinceMs < Infinity) return;
    caller.answered = caller.lease.pending();
    caller.pendingSinceMs = this.clock.monotonicMs();
  }

  check(): void {
    deepEqual(this.#violations, []);
    const stats = this.pool.stats();
    const { connecting, idle, checking, leased, closing, total, connectionsMax } = stats;
    equal(total, connecting + idle + checking + leased + closing);
    ok(total <= connectionsMax, `${total} connections of ${connectionsMax}`);
    ok(this.peer.inFlight <= connecting, `${this.peer.inFlight} connects, ${connecting} counted`);
    const open = this.peer.open();
    // An endpoint that is not trusted has made connections that are still being checked.
    ok(open.length + connecting >= idle + checking + leased, "counted and not open");
    ok(open.length <= total, `${open.length} open, ${total} counted`);
    equal(this.ready.size, idle + checking + leased, "by the events");
    equal(this.leased.size, leased, "leased by the events");
    const held = this.#holding().flatMap(({ lease }) => (lease === undefined ? [] : [lease]));
    equal(new Set(held.map((lease) => lease.connection)).size, held.length, "one holder each");
    for (const { connection } of held) equal(connection.destroyed, 0, "lent and destroyed");
    for (const { destroyed } of this.peer.connections) ok(destroyed <= 1, "destroyed twice");
    const nowMs = this.clock.monotonicMs();
    for (const { status, pendingSinceMs } of this.callers)
      if (status === "holding") ok(nowMs - pendingSinceMs < PROGRESS_DEADLINE_MS, "no progress");
  }

  /** Invariant 19: with healthy endpoints everybody is served. */
  async heal(): Promise<void> {
    this.peer.set("accept");
    this.pool.resume();
    for (let passedMs = 0; passedMs < HEALED_MS; passedMs += 100) {
      for (const caller of this.#holding()) this.#over(caller, (lease) => lease.release());
      await this.clock.advance(100);
      this.check();
    }
    const waiting = this.callers.filter(({ status }) => status === "waiting");
    deepEqual(
      waiting.map(({ id }) => id),
      [],
      "not served by a healthy endpoint",
    );
  }

  /** The end takes no longer than it may, and leaves nothing. */
  async close(): Promise<void> {
    this.#acquire(false);
    await this.clock.settle();
    const heldCount = this.pool.stats().leased;
    const closed = this.pool.close(this.setting.closeDeadlineMs);
    await this.clock.advance(this.setting.closeDeadlineMs);
    equal(this.pool.stats().status, "closed");
    equal((await closed).notReturned.length, heldCount, "named at the deadline");
    deepEqual(this.peer.open(), []);
    // Only the peer has timers now: late answers and kicks.
    await this.clock.advance(10_000);
    equal(this.clock.timerCount, 0, "timers");
    deepEqual(this.peer.open(), []);
    ok(this.peer.connections.every(({ destroyed }) => destroyed === 1));
    deepEqual(this.#violations, []);
  }
}

function picked<T>(all: readonly T[], pick: number): T | undefined {
  return all[pick % Math.max(1, all.length)];
}

function harm(connection: PeerConnection | undefined, fate: ConnectionFate): void {
  if (connection === undefined) return;
  if (fate === "crash") connection.broke(new Error("crash"));
  if (fate === "half-open") connection.isHalfOpen = true;
  if (fate === "sick") connection.isSick = true;
}

test("pool: invariants 16 to 20 hold over random faults, and everything heals", async () => {
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(commands, { maxLength: 60, size: "max" }),
      async (setting, steps) => {
        const play = new Play(setting);
        for (const step of steps) await play.run(step);
        await play.heal();
        await play.close();
      },
    ),
    manyRuns,
  );
});
