/**
 * The connections that a pool has, from their making to their end.
 */
import type { CloseReason, Connector } from "../contract/pool.ts";
import type { Cancel } from "../host/clock.ts";
import type { Governor, Stamp } from "./governor.ts";
import { type Holding, timer } from "./holding.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { stalled } from "./pool-errors.ts";
import { within } from "./within.ts";

/** A connection in the pool. */
export interface Member<C> {
  readonly id: number;
  readonly connection: C;
  readonly governor: Governor;
  readonly stamp: Stamp;
  readonly openedAtMs: number;
  /** Its lifetime ends here, jitter included. */
  readonly retireAtMs: number;
  status: "idle" | "checking" | "leased" | "closing";
  usedAtMs: number;
  /** It came back from a lease in good order or passed a check. */
  isProven: boolean;
  /** To be checked before it is lent again. */
  isSuspect: boolean;
  /** Its replacement is there: it ends when it is given back. */
  isReplaced: boolean;
  holding: Holding | undefined;
  cancelAlarm: Cancel | undefined;
}

/** Whether a connection may be lent: at once, after a check, or only when there is no better one. */
export type Readiness = "now" | "check" | "doubt";

/** Lifetimes differ by up to this share in both directions, so that a fleet does not reconnect in one moment. */
const LIFETIME_JITTER = 0.1;

/** Ends that were planned: the peer is told. */
const PLANNED: ReadonlySet<CloseReason> = new Set<CloseReason>(["idle", "retired", "pool-closed"]);

/** What the connections tell their pool. */
export interface MembersParts<C> {
  readonly options: ResolvedPoolOptions<C>;
  /** Ends every goodbye at once. */
  readonly killed: AbortSignal;
  /** It has been idle for `idleTimeoutMs` or has reached its lifetime. */
  readonly due: (member: Member<C>) => void;
  /** It ends for this reason, and is of no use from now on. */
  readonly ended: (member: Member<C>, why: CloseReason, error: Error | undefined) => void;
  /** Its place is free. */
  readonly gone: () => void;
}

/** See the file's head. */
export class Members<C> {
  readonly #parts: MembersParts<C>;
  readonly #all = new Set<Member<C>>();
  #lastId = 0;

  constructor(parts: MembersParts<C>) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#all.size;
  }

  all(): readonly Member<C>[] {
    return [...this.#all];
  }

  /** How many are in this status. */
  count(status: Member<C>["status"]): number {
    let count = 0;
    for (const member of this.#all) if (member.status === status) count++;
    return count;
  }

  /** Takes a new connection in; it is leased to nobody yet. */
  add(connection: C, governor: Governor, stamp: Stamp): Member<C> {
    const { clock, random, lifetimeMs } = this.#parts.options;
    const openedAtMs = clock.monotonicMs();
    const jitter = 1 + LIFETIME_JITTER * (2 * random.next() - 1);
    const member: Member<C> = {
      id: ++this.#lastId,
      connection,
      governor,
      stamp,
      openedAtMs,
      retireAtMs: openedAtMs + lifetimeMs * jitter,
      status: "checking",
      usedAtMs: openedAtMs,
      isProven: false,
      isSuspect: false,
      isReplaced: false,
      holding: undefined,
      cancelAlarm: undefined,
    };
    this.#all.add(member);
    return member;
  }

  /** It waits for its next use. */
  rest(member: Member<C>): void {
    member.status = "idle";
    this.#watchIdle(member, member.usedAtMs + this.#parts.options.idleTimeoutMs);
  }

  /** It stays although it was idle for long: only its lifetime counts now. */
  keep(member: Member<C>): void {
    this.#watchIdle(member, Infinity);
  }

  /** It is in use from now on. */
  use(member: Member<C>, status: "checking" | "leased"): void {
    member.cancelAlarm?.();
    member.status = status;
  }

  readiness(member: Member<C>): Readiness | undefined {
    if (member.status !== "idle") return undefined;
    if (member.isSuspect) return "doubt";
    const { connector, clock, aliveWindowMs } = this.#parts.options;
    if (connector.check === undefined) return "now";
    return clock.monotonicMs() - member.usedAtMs <= aliveWindowMs ? "now" : "check";
  }

  /** The one to lend next: of the endpoint that is preferred, and the one used last, so that what is too many stays idle. */
  pick(readiness: Readiness, preference: readonly Governor[]): Member<C> | undefined {
    let best: Member<C> | undefined;
    for (const member of this.#all)
      if (
        this.readiness(member) === readiness &&
        (best === undefined || isBetter(member, best, preference))
      )
        best = member;
    return best;
  }

  /** Everything this endpoint had is to be checked before it is lent again. */
  suspect(governor: Governor): void {
    for (const member of this.#all) if (member.governor === governor) member.isSuspect = true;
  }

  /** Ends a connection; resolves when its place is free. Ended already, it only waits for nothing. */
  async end(member: Member<C>, why: CloseReason, error?: Error): Promise<void> {
    if (member.status === "closing") return;
    member.cancelAlarm?.();
    member.status = "closing";
    member.holding?.end(error === undefined ? undefined : { cause: error });
    this.#parts.ended(member, why, error);
    const { connector } = this.#parts.options;
    if (PLANNED.has(why) && connector.close !== undefined && !this.#parts.killed.aborted)
      await this.#sayGoodbye(member);
    destroyQuietly(connector, member.connection);
    this.#all.delete(member);
    this.#parts.gone();
  }

  async #sayGoodbye({ connection }: Member<C>): Promise<void> {
    const { connector, clock, closeDeadlineMs } = this.#parts.options;
    await within({
      clock,
      deadlineMs: closeDeadlineMs,
      signal: this.#parts.killed,
      call: async (signal) => await connector.close?.(connection, signal),
      expired: () => stalled("goodbye", closeDeadlineMs),
    }).catch(() => {
      // It is destroyed next, whatever became of the goodbye.
    });
  }

  #watchIdle(member: Member<C>, idleUntilMs: number): void {
    const { clock } = this.#parts.options;
    const dueMs = Math.min(idleUntilMs, member.retireAtMs) - clock.monotonicMs();
    member.cancelAlarm?.();
    // What is due already is looked at in the pool's next turn, without a timer.
    member.cancelAlarm =
      dueMs > 0 ? timer(clock, Math.ceil(dueMs), () => this.#parts.due(member)) : undefined;
  }
}

/** Destroys. */
export function destroyQuietly<C>(connector: Connector<C>, connection: C): void {
  try {
    connector.destroy(connection);
  } catch {
    // The connector's own affair: for the pool the connection is gone all the same.
  }
}

function isBetter<C>(one: Member<C>, other: Member<C>, preference: readonly Governor[]): boolean {
  const rank = preference.indexOf(one.governor) - preference.indexOf(other.governor);
  return rank === 0 ? one.usedAtMs > other.usedAtMs : rank < 0;
}
