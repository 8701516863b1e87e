/**
 * Pools: connections to one list of endpoints that heal themselves. Types only; `src/pool/` carries them out.
 */
import type { Clock } from "../host/clock.ts";
import type { Random } from "../host/random.ts";

/** How connections of one kind are made, checked and ended. A throw or rejection costs one connection, never the pool. */
export interface Connector<C> {
  /**
   * Opens one connection to `address`, ready for use: handshake and login done, names resolved anew. It should reject
   * soon after `signal` aborts; what comes later nevertheless is taken into the pool or destroyed.
   *
   * `broke` tells, at any time and as often as one likes, that this connection is of no use any more. A client library's
   * own reconnect must be off: the pool is the only one that heals.
   */
  connect(address: string, signal: AbortSignal, broke: (cause: unknown) => void): Promise<C>;
  /**
   * One round trip to the peer, which also brings the connection back to its neutral state (ROLLBACK): it runs before
   * a connection is lent again after an idle time or after a callback that threw. Rejects = the connection is destroyed.
   */
  check?(connection: C, signal: AbortSignal): Promise<void>;
  /** Says goodbye before a planned end (retirement, idle time, close of the pool). `destroy` follows in any case. */
  close?(connection: C, signal: AbortSignal): Promise<void>;
  /** Ends at once and frees everything, never waiting for the peer. Called exactly once for each connection. */
  destroy(connection: C): void;
  /**
   * Whether connecting again cannot help: a wrong password, a wrong name of a database. The endpoint is parked then.
   * @defaultValue errors of ours that docs/errors.md calls not retried
   */
  isPermanent?(error: Error): boolean;
}

/** Limits of one wait for a connection. */
export interface AcquireOptions {
  /** Longest wait for a connection, 0 .. 2^31-1. @defaultValue `acquireDeadlineMs` of the pool */
  readonly deadlineMs?: number;
  /** Gives up the wait. What is lent already is not touched. */
  readonly signal?: AbortSignal;
}

/** A connection that is lent to one holder. Give it back by `release`, or let `await using` do that. */
export interface Lease<C> extends AsyncDisposable {
  readonly connection: C;
  /** Aborts when the pool takes the connection away: it broke, it did not answer in time, the pool was closed. */
  readonly signal: AbortSignal;
  /**
   * Something was sent that will be answered; call what comes back when the answer is there. The connection is
   * destroyed when the oldest of these waits for longer than `progressDeadlineMs`.
   */
  pending(): () => void;
  /** The connection is not to be trusted any more: it is destroyed now, no other is touched. */
  poison(cause: unknown): void;
  /** Gives the connection back; with answers outstanding it is destroyed. Harmless when repeated or too late. */
  release(): void;
}

/** A pool of connections. Every method may be called at any time, by many at once. */
export interface Pool<C> {
  readonly name: string;
  /**
   * Runs `use` with a connection and gives it back. Rejects with what `use` throws; with the end's cause when the
   * connection is taken away while `use` runs, without waiting for `use`.
   *
   * The call counts as one operation for `progressDeadlineMs` until `use` calls `lease.pending` for the first time;
   * from then on those count. When `use` throws, the connection is checked before it is lent again; a connector
   * without a check gets it destroyed.
   *
   * @throws POOL_TIMEOUT, POOL_EXHAUSTED, POOL_PARKED, POOL_CLOSED, CONNECTION_STALLED
   */
  with<R>(
    use: (connection: C, lease: Lease<C>) => Promise<R>,
    options?: AcquireOptions,
  ): Promise<R>;
  /** A connection, in the order of asking. @throws POOL_TIMEOUT, POOL_EXHAUSTED, POOL_PARKED, POOL_CLOSED */
  acquire(options?: AcquireOptions): Promise<Lease<C>>;
  /** Lends and connects no more until `resume`. Who waits goes on waiting, within its deadline. */
  suspend(): void;
  /** Ends a suspension, and tries parked endpoints again. */
  resume(): void;
  /**
   * For good: refuses everybody, waits up to `deadlineMs` (0 .. 2^31-1) for what is lent, then destroys it and says
   * who held it. Later calls get the report of the first.
   * @defaultValue deadlineMs 5,000
   */
  close(deadlineMs?: number): Promise<PoolCloseReport>;
  stats(): PoolStats;
}

/** How a pool ended. */
export interface PoolCloseReport {
  /** Leases that were not given back in time; their connections are destroyed. */
  readonly notReturned: readonly HeldLease[];
  /** Connects that ignored their signal; what they still bring is destroyed. */
  readonly lateConnects: number;
}

/** A lease as others see it. */
export interface HeldLease {
  readonly address: string;
  readonly heldMs: number;
  /** Where it was asked for: the top of the stack, one line. */
  readonly site: string;
}

/** Options of a pool. Durations are milliseconds, 0 .. 2^31-1 or Infinity for never, unless they say otherwise. */
export interface PoolOptions<C> {
  /** Shown in errors, events and metrics; matches `[a-z][a-z0-9-]{0,62}`. */
  readonly name: string;
  readonly connector: Connector<C>;
  /** 1 .. 16 endpoints, the preferred one first. Shown in errors and logs: no secrets. */
  readonly addresses: readonly string[];
  /** Connections in any state together, 1 .. 1,000; at least 2 with several addresses. @defaultValue 10 */
  readonly connectionsMax?: number;
  /** Connections that are kept ready, 0 .. `connectionsMax`; below it unless `lifetimeMs` is Infinity. @defaultValue 0 */
  readonly connectionsMin?: number;
  /** Callers that may wait; a further one gets POOL_EXHAUSTED. 1 .. 1,000,000. @defaultValue 1,000 */
  readonly waitersMax?: number;
  /** Longest wait of a caller, never Infinity. @defaultValue 30,000 */
  readonly acquireDeadlineMs?: number;
  /** Longest time of one connect, never Infinity. @defaultValue 5,000 */
  readonly connectDeadlineMs?: number;
  /** Longest time of one check, never Infinity. @defaultValue 2,000 */
  readonly checkDeadlineMs?: number;
  /** Longest goodbye of one connection, never Infinity. @defaultValue 2,000 */
  readonly closeDeadlineMs?: number;
  /** A connection that was used this recently is lent without a check. @defaultValue 500 */
  readonly aliveWindowMs?: number;
  /** Age at which a connection is replaced, +-10 % at random. @defaultValue 1,800,000 */
  readonly lifetimeMs?: number;
  /** Unused for this long, a connection above `connectionsMin` is closed. @defaultValue 600,000 */
  readonly idleTimeoutMs?: number;
  /** Oldest unanswered operation at which a lent connection is destroyed. @defaultValue 10,000 */
  readonly progressDeadlineMs?: number;
  /** A lease held for this long is reported, once, with its call site. @defaultValue 60,000 */
  readonly leakAfterMs?: number;
  /** Called in order, never in the middle of a change; a throw changes nothing. @defaultValue nobody listens */
  readonly onEvent?: (event: PoolEvent) => void;
  /** @defaultValue the machine's */
  readonly clock?: Clock;
  /** @defaultValue the machine's */
  readonly random?: Random;
  /** Who notices leases that nobody holds any more. @defaultValue the garbage collector */
  readonly forgotten?: ForgottenWatch;
}

/** Makes pools that share the clock of their ingest, and are seen in its snapshot and events. */
export type PoolFactory = <C>(
  options: Omit<PoolOptions<C>, "clock" | "random" | "onEvent" | "forgotten">,
) => Pool<C>;

/** Calls `reclaim` when an object is gone that nobody holds any more; may be late or never. */
export type ForgottenWatch = <Token extends object>(
  reclaim: (token: Token) => void,
) => {
  /** `token` never refers to `watched`. */
  watch(watched: object, token: Token): void;
  unwatch(token: Token): void;
};

/**
 * What an endpoint is doing. `up`: connects as wanted. `down`: two connects or checks in a row failed, one probe at a
 * time. `recovering`: a probe came through, nothing has proved itself yet. `parked`: waits for `resume`.
 */
export type EndpointStatus = "up" | "down" | "recovering" | "parked";

/** An endpoint as others see it. */
export interface EndpointState {
  readonly address: string;
  readonly status: EndpointStatus;
  /** Connections it has, without those being made. */
  readonly connections: number;
  readonly connecting: number;
  /** Connects that passed their deadline and have not come back. */
  readonly lateConnects: number;
  /** Failed connects and checks in a row. */
  readonly failures: number;
  /** Until the next probe, while down. */
  readonly nextProbeInMs: number | undefined;
  readonly lastError: Error | undefined;
}

/** A pool at one moment: `total` = connecting + idle + checking + leased + closing <= `connectionsMax`. */
export interface PoolStats {
  readonly pool: string;
  readonly status: "open" | "suspended" | "closing" | "closed";
  readonly connectionsMax: number;
  readonly total: number;
  readonly connecting: number;
  readonly idle: number;
  readonly checking: number;
  readonly leased: number;
  readonly closing: number;
  readonly waiting: number;
  readonly oldestLease: HeldLease | undefined;
  readonly lastConnectError: Error | undefined;
  readonly endpoints: readonly EndpointState[];
  /** Since the pool was made. */
  readonly totals: PoolTotals;
}

/** Counters since the pool was made. */
export interface PoolTotals {
  /** Connects that were begun. */
  readonly connects: number;
  readonly connectsFailed: number;
  readonly checksFailed: number;
  readonly leases: number;
  /** Callers that were refused, by deadline, full queue, parked endpoints or the pool's end. */
  readonly refused: number;
  /** Connections that were taken from their holder: broken, poisoned or stalled. */
  readonly lost: number;
  readonly leaks: number;
}

/** Why a connection ended. */
export type CloseReason =
  | "broke"
  | "poisoned"
  | "stalled"
  | "unanswered"
  | "failed-use"
  | "check-failed"
  | "forgotten"
  | "idle"
  | "retired"
  | "pool-closed";

/** What pools tell while they work; the composition root turns some of it into public events. */
export type PoolEvent = { readonly pool: string } & (
  | {
      readonly kind: "endpoint";
      readonly address: string;
      readonly status: EndpointStatus;
      readonly error: Error | undefined;
    }
  | { readonly kind: "connect-started"; readonly address: string }
  | {
      readonly kind: "connected";
      readonly address: string;
      readonly id: number;
      /** After its deadline. */
      readonly isLate: boolean;
    }
  | { readonly kind: "connect-failed"; readonly address: string; readonly error: Error }
  | { readonly kind: "checked"; readonly address: string; readonly id: number }
  | { readonly kind: "leased"; readonly address: string; readonly id: number }
  | { readonly kind: "returned"; readonly address: string; readonly id: number }
  | {
      readonly kind: "ended";
      readonly address: string;
      readonly id: number;
      readonly why: CloseReason;
      readonly error: Error | undefined;
    }
  /** A lease is held for long; `isReclaimed`: nobody held it any more, and its connection is destroyed. */
  | ({ readonly kind: "leak"; readonly id: number; readonly isReclaimed: boolean } & HeldLease)
  | { readonly kind: "refused"; readonly error: Error }
  | { readonly kind: "suspended" | "resumed" | "closed" }
);
