/**
 * A pool of connections that heals itself: who gets one, for how long, and how it all ends. See docs/pools.md.
 */
import type {
  AcquireOptions,
  HeldLease,
  Lease,
  Pool,
  PoolCloseReport,
  PoolEvent,
  PoolOptions,
  PoolStats,
} from "../contract/pool.ts";
import { toError } from "../errors.ts";
import { type CallSite, callSite, siteText } from "./call-site.ts";
import { Holding } from "./holding.ts";
import { PooledLease } from "./lease.ts";
import type { Member } from "./members.ts";
import { CLOSE_DEADLINE_MS, type ResolvedPoolOptions, resolvePoolOptions } from "./options.ts";
import { exhausted, parked, poolClosed, stalled, timedOut } from "./pool-errors.ts";
import { Supply } from "./supply.ts";
import { type Tell, telling } from "./telling.ts";
import { Waiters } from "./waiters.ts";

/**
 * Makes a pool. Nothing connects before somebody asks, unless `connectionsMin` is above 0.
 *
 * @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE, CONFIG_CONFLICT
 */
export function createPool<C>(options: PoolOptions<C>): Pool<C> {
  return new ConnectionPool(resolvePoolOptions(options));
}

/** A connection in the hands of one holder. */
interface Grant<C> {
  readonly member: Member<C>;
  readonly holding: Holding;
}

class ConnectionPool<C> implements Pool<C> {
  readonly #options: ResolvedPoolOptions<C>;
  readonly #tell: Tell<PoolEvent, "pool">;
  readonly #waiters: Waiters<Member<C>>;
  readonly #supply: Supply<C>;
  readonly #forgotten: {
    watch(lease: object, grant: Grant<C>): void;
    unwatch(grant: Grant<C>): void;
  };
  #status: PoolStats["status"] = "open";
  #closed: Promise<PoolCloseReport> | undefined;
  #onEmpty: () => void = () => undefined;
  readonly #totals = { leases: 0, refused: 0, leaks: 0 };

  constructor(options: ResolvedPoolOptions<C>) {
    this.#options = options;
    this.#tell = telling<PoolEvent, "pool">({ pool: options.name }, options.onEvent);
    this.#waiters = new Waiters(options.clock);
    this.#forgotten = options.forgotten<Grant<C>>((grant) => this.#reclaim(grant));
    this.#supply = new Supply({
      options,
      tell: this.#tell,
      waiting: () => this.#waiters.count,
      serve: (member) => this.#waiters.serve(member),
      hopeless: () => this.#waiters.refuseAll(() => this.#refused(parked(this.stats()))),
      gone: () => {
        if (this.#supply.members().length === 0) this.#onEmpty();
      },
    });
    this.#supply.turn();
  }

  get name(): string {
    return this.#options.name;
  }

  async with<R>(
    use: (connection: C, lease: Lease<C>) => Promise<R>,
    options: AcquireOptions = {},
  ): Promise<R> {
    const lease = await this.#acquire(options, callSite());
    return await lease.run(use);
  }

  async acquire(options: AcquireOptions = {}): Promise<Lease<C>> {
    return await this.#acquire(options, callSite());
  }

  suspend(): void {
    if (this.#status !== "open") return;
    this.#status = "suspended";
    this.#supply.suspend();
    this.#tell({ kind: "suspended" });
  }

  resume(): void {
    if (this.#isClosed) return;
    if (this.#status === "suspended") this.#tell({ kind: "resumed" });
    this.#status = "open";
    this.#supply.resume();
  }

  close(deadlineMs: number = CLOSE_DEADLINE_MS): Promise<PoolCloseReport> {
    if (this.#closed !== undefined) return this.#closed;
    // The connector, called while the close begins, asks for it again: it gets the same a moment later.
    if (this.#isClosed) return Promise.resolve().then(() => this.close());
    this.#status = "closing";
    this.#closed = this.#close(deadlineMs);
    return this.#closed;
  }

  stats(): PoolStats {
    const { name, connectionsMax } = this.#options;
    const members = this.#supply.members();
    const count = (status: Member<C>["status"]): number =>
      members.filter((member) => member.status === status).length;
    const { connecting, lastConnectError, totals } = this.#supply;
    return {
      pool: name,
      status: this.#status,
      connectionsMax,
      total: members.length + connecting,
      connecting,
      idle: count("idle"),
      checking: count("checking"),
      leased: count("leased"),
      closing: count("closing"),
      waiting: this.#waiters.count,
      oldestLease: this.#oldestLease(members),
      lastConnectError,
      endpoints: this.#supply.endpoints(),
      totals: { ...totals, ...this.#totals },
    };
  }

  get #isClosed(): boolean {
    return this.#status === "closing" || this.#status === "closed";
  }

  async #acquire(
    { deadlineMs = this.#options.acquireDeadlineMs, signal }: AcquireOptions,
    site: CallSite,
  ): Promise<PooledLease<C>> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw this.#refused(poolClosed(this.stats()));
    // Whoever waits comes first.
    const member = this.#waiters.count === 0 ? this.#supply.take() : undefined;
    if (member !== undefined) return this.#lend(member, site);
    const { waitersMax } = this.#options;
    if (this.#waiters.count >= waitersMax) throw this.#refused(exhausted(this.stats(), waitersMax));
    const lease = this.#waiters.add({
      deadlineMs,
      signal,
      expired: () => this.#refused(timedOut(this.stats(), deadlineMs)),
      grant: (served) => this.#lend(served, site),
    });
    this.#supply.turn();
    return await lease;
  }

  #lend(member: Member<C>, site: CallSite): PooledLease<C> {
    const { clock, leakAfterMs, progressDeadlineMs } = this.#options;
    const { address } = member.governor;
    const holding: Holding = new Holding({
      clock,
      site,
      leakAfterMs,
      progressDeadlineMs,
      leaked: () => this.#leaked({ member, holding }, false),
      stalled: () =>
        this.#supply.end(member, "stalled", stalled("answer", progressDeadlineMs, address)),
    });
    const grant: Grant<C> = { member, holding };
    member.holding = holding;
    const lease = new PooledLease(member.connection, holding, {
      giveBack: (isSound) => this.#giveBack(grant, isSound),
      poison: (cause) => this.#poison(grant, cause),
    });
    this.#forgotten.watch(lease, grant);
    this.#totals.leases++;
    this.#tell({ kind: "leased", address, id: member.id });
    return lease;
  }

  #giveBack(grant: Grant<C>, isSound: boolean): void {
    const { member, holding } = grant;
    this.#over(grant);
    if (holding.unansweredCount > 0) return this.#supply.end(member, "unanswered");
    // What it is in the middle of nobody knows, and nobody can ask.
    if (!isSound && this.#options.connector.check === undefined)
      return this.#supply.end(member, "failed-use");
    this.#tell({ kind: "returned", address: member.governor.address, id: member.id });
    this.#supply.giveBack(member, isSound);
  }

  #poison(grant: Grant<C>, cause: unknown): void {
    this.#over(grant);
    this.#supply.end(grant.member, "poisoned", toError(cause));
  }

  /** The holder ended the lease. */
  #over(grant: Grant<C>): void {
    grant.holding.end();
    this.#forgotten.unwatch(grant);
  }

  /** Nobody holds the lease any more, and it was not given back. */
  #reclaim(grant: Grant<C>): void {
    if (grant.holding.isOver) return;
    this.#leaked(grant, true);
    grant.holding.end();
    this.#supply.end(grant.member, "forgotten");
  }

  #leaked({ member, holding }: Grant<C>, isReclaimed: boolean): void {
    this.#totals.leaks++;
    this.#tell({ kind: "leak", id: member.id, isReclaimed, ...this.#held(member, holding) });
  }

  #held({ governor }: Member<C>, { sinceMs, site }: Holding): HeldLease {
    const heldMs = this.#options.clock.monotonicMs() - sinceMs;
    return { address: governor.address, heldMs, site: siteText(site) };
  }

  #heldLeases(members: readonly Member<C>[]): readonly Grant<C>[] {
    return members.flatMap((member) =>
      member.status === "leased" && member.holding !== undefined
        ? [{ member, holding: member.holding }]
        : [],
    );
  }

  #oldestLease(members: readonly Member<C>[]): HeldLease | undefined {
    const [oldest] = this.#heldLeases(members).toSorted(
      (a, b) => a.holding.sinceMs - b.holding.sinceMs,
    );
    return oldest === undefined ? undefined : this.#held(oldest.member, oldest.holding);
  }

  #refused<E extends Error>(error: E): E {
    this.#totals.refused++;
    this.#tell({ kind: "refused", error });
    return error;
  }

  async #close(deadlineMs: number): Promise<PoolCloseReport> {
    const cause = poolClosed(this.stats());
    const isEmpty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#supply.members().length === 0) resolve();
    });
    this.#waiters.refuseAll(() => this.#refused(cause));
    this.#supply.close(cause);
    const enough = new AbortController();
    const isLate = this.#options.clock.sleep(deadlineMs, enough.signal).catch(() => {
      // Everything came back before.
    });
    await Promise.race([isEmpty, isLate]);
    enough.abort();
    const notReturned = this.#heldLeases(this.#supply.members()).map(({ member, holding }) =>
      this.#held(member, holding),
    );
    this.#supply.kill(cause);
    await isEmpty;
    this.#status = "closed";
    this.#tell({ kind: "closed" });
    const lateConnects = this.#supply
      .endpoints()
      .reduce((sum, endpoint) => sum + endpoint.lateConnects, 0);
    return { notReturned, lateConnects };
  }
}
