/**
 * Where a pool's connections come from and when they end.
 *
 * One rule holds it together: whatever happens only changes what is known, and then a turn is taken. The turn alone
 * decides who is served and what is opened, checked or retired, so waiters never connect by themselves.
 */
import { setMaxListeners } from "node:events";
import type { CloseReason, EndpointState, PoolEvent } from "../contract/pool.ts";
import { toError } from "../errors.ts";
import { Endpoints } from "./endpoints.ts";
import type { Governor } from "./governor.ts";
import { destroyQuietly, type Member, Members } from "./members.ts";
import { type Opened, openConnection } from "./opening.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { stalled } from "./pool-errors.ts";
import type { Tell } from "./telling.ts";
import { within } from "./within.ts";

/**
 * A connection that breaks younger than this without having proved itself counts as a failed connect: the peer accepts
 * and then kicks. An older one may have been closed for being idle.
 */
const YOUNG_MS = 5_000;

/** What the supply works with. */
export interface SupplyParts<C> {
  readonly options: ResolvedPoolOptions<C>;
  readonly tell: Tell<PoolEvent, "pool">;
  /** Callers that wait. */
  readonly waiting: () => number;
  /** Lends this connection to whoever waits longest. */
  readonly serve: (member: Member<C>) => void;
  /** Nobody who waits can be helped: every endpoint is parked and there is no connection. */
  readonly hopeless: () => void;
  /** A connection has ended and its place is free. */
  readonly gone: () => void;
}

/** See the file's head. */
export class Supply<C> {
  readonly #parts: SupplyParts<C>;
  readonly #members: Members<C>;
  readonly #endpoints: Endpoints;
  /** Endpoints with a planned retirement under way: one each. */
  readonly #retiring = new Set<Governor>();
  readonly #ending = new AbortController();
  readonly #killed = new AbortController();
  #status: "open" | "suspended" | "closing" = "open";
  #isTurning = false;
  #isTurnDue = false;
  readonly totals = { connects: 0, connectsFailed: 0, checksFailed: 0, lost: 0 };
  #lastConnectError: Error | undefined;

  constructor(parts: SupplyParts<C>) {
    this.#parts = parts;
    const { options } = parts;
    // One listener for each connect, check and goodbye under way: as many as there are connections.
    for (const { signal } of [this.#ending, this.#killed])
      setMaxListeners(2 * options.connectionsMax, signal);
    this.#members = new Members({
      options,
      killed: this.#killed.signal,
      due: (member) => this.#due(member),
      ended: (member, why, error) => this.#ended(member, why, error),
      gone: () => {
        parts.gone();
        this.turn();
      },
    });
    this.#endpoints = new Endpoints({
      options,
      changed: (governor, status, error) => {
        parts.tell({ kind: "endpoint", address: governor.address, status, error });
        if (status === "down") this.#members.suspect(governor);
      },
      probeDue: () => this.turn(),
    });
  }

  get lastConnectError(): Error | undefined {
    return this.#lastConnectError;
  }

  get connecting(): number {
    return this.#endpoints.connecting;
  }

  members(): readonly Member<C>[] {
    return this.#members.all();
  }

  endpoints(): readonly EndpointState[] {
    const all = this.#members.all();
    return this.#endpoints.states(
      (governor) => all.filter((member) => member.governor === governor).length,
    );
  }

  /** A connection that can be lent at once, taken out of the idle ones; undefined: there is none. */
  take(): Member<C> | undefined {
    if (this.#status !== "open") return undefined;
    const member = this.#members.pick("now", this.#endpoints.preference);
    if (member !== undefined) this.#members.use(member, "leased");
    return member;
  }

  /** A connection is free again; `isSound`: it worked until now. */
  giveBack(member: Member<C>, isSound: boolean): void {
    member.usedAtMs = this.#parts.options.clock.monotonicMs();
    if (isSound) prove(member);
    else member.isSuspect = true;
    this.#rest(member);
  }

  /** Ends a connection. */
  end(member: Member<C>, why: CloseReason, error?: Error): void {
    void this.#members.end(member, why, error);
  }

  suspend(): void {
    if (this.#status === "open") this.#status = "suspended";
  }

  resume(): void {
    if (this.#status === "suspended") this.#status = "open";
    this.#endpoints.unpark();
    this.turn();
  }

  /** Opens nothing more; ends what is not lent. What is being made ends as soon as it can. */
  close(cause: Error): void {
    this.#status = "closing";
    this.#endpoints.close();
    this.#ending.abort(cause);
    for (const member of this.#members.all())
      if (member.status === "idle") this.end(member, "pool-closed");
  }

  /** Ends what is left, at once and without goodbye. */
  kill(cause: Error): void {
    this.#killed.abort(cause);
    for (const member of this.#members.all()) this.end(member, "pool-closed", cause);
  }

  /** Looks at everything that is known, and acts. Called from within a turn, another one follows. */
  turn(): void {
    this.#isTurnDue = true;
    if (this.#isTurning) return;
    this.#isTurning = true;
    try {
      while (this.#isTurnDue) {
        this.#isTurnDue = false;
        if (this.#status === "open") this.#act();
      }
    } finally {
      this.#isTurning = false;
    }
  }

  #act(): void {
    const { target } = this.#endpoints;
    if (this.#isHopeless()) return this.#parts.hopeless();
    this.#retire(target);
    this.#serveReady();
    this.#check("check");
    if (target !== undefined) this.#connect(target);
    this.#check("doubt");
    this.#probe();
  }

  /** Callers for whom nothing is on its way. */
  get #unhelped(): number {
    return this.#parts.waiting() - this.#members.count("checking") - this.#endpoints.promising;
  }

  #isHopeless(): boolean {
    const isWaitedFor = this.#parts.waiting() > 0;
    return isWaitedFor && this.#members.size + this.connecting === 0 && this.#endpoints.isAllParked;
  }

  #serveReady(): void {
    while (this.#parts.waiting() > 0) {
      const member = this.take();
      if (member === undefined) return;
      this.#parts.serve(member);
    }
  }

  /** Checks idle connections for callers that nothing else will help. Without a check they are lent as they are. */
  #check(readiness: "check" | "doubt"): void {
    const canCheck = this.#parts.options.connector.check !== undefined;
    while (this.#unhelped > 0) {
      const member = this.#members.pick(readiness, this.#endpoints.preference);
      if (member === undefined) return;
      this.#members.use(member, canCheck ? "checking" : "leased");
      if (canCheck) void this.#validate(member);
      else this.#parts.serve(member);
    }
  }

  #connect(target: Governor): void {
    const { connectionsMin } = this.#parts.options;
    const wanted = Math.max(this.#unhelped, connectionsMin - this.#ready - this.connecting);
    const count = Math.min(wanted, this.#room, target.openings);
    for (let index = 0; index < count; index++) void this.#open(target);
  }

  #probe(): void {
    for (const governor of this.#endpoints.probed)
      if (governor.openings > 0 && this.#freePlaces > 0) void this.#open(governor);
  }

  /** Replaces connections that are past their lifetime, or of an endpoint that is not preferred any more. */
  #retire(target: Governor | undefined): void {
    if (target?.status !== "up") return;
    const nowMs = this.#parts.options.clock.monotonicMs();
    for (const member of this.#members.all()) {
      if (member.status !== "idle" || this.#retiring.has(member.governor)) continue;
      if (nowMs >= member.retireAtMs || this.#endpoints.isPreferred(target, member.governor))
        void this.#replace(member, target);
    }
  }

  /** The replacement comes first. Only where there is no room for it the old one goes first, if enough are left. */
  async #replace(member: Member<C>, target: Governor): Promise<void> {
    const hasRoom = this.#room > 0;
    if (hasRoom && target.openings === 0) return;
    if (!hasRoom && !this.#isSpare) return;
    this.#retiring.add(member.governor);
    if (!hasRoom) await this.#members.end(member, "retired");
    const isReplaced = target.openings > 0 && this.#room > 0 && (await this.#open(target));
    member.isReplaced = isReplaced && hasRoom;
    if (member.isReplaced && member.status === "idle") this.#rest(member);
    this.#retiring.delete(member.governor);
    this.turn();
  }

  /** Connections that can be used, or are about to show whether they can. */
  get #ready(): number {
    return this.#members.size - this.#members.count("closing");
  }

  /** Whether one may be missing. */
  get #isSpare(): boolean {
    return this.#ready > this.#parts.options.connectionsMin;
  }

  get #freePlaces(): number {
    return this.#parts.options.connectionsMax - this.#members.size - this.connecting;
  }

  /** Places for connections that somebody wants: one is kept for a probe that is to come. */
  get #room(): number {
    const { target, probed } = this.#endpoints;
    const isProbeToCome = target !== undefined && probed.some(({ connecting }) => connecting === 0);
    return this.#freePlaces - (isProbeToCome ? 1 : 0);
  }

  /** Makes a connection; true: it is in the pool. */
  async #open(governor: Governor): Promise<boolean> {
    const { options, tell } = this.#parts;
    const { address } = governor;
    const attempt = governor.begin();
    this.totals.connects++;
    tell({ kind: "connect-started", address });
    try {
      const opened = await openConnection({
        options,
        governor,
        attempt,
        signal: this.#ending.signal,
        late: (late) => this.#adopt(late, governor, true),
      });
      governor.end(attempt);
      if (this.#adopt(opened, governor, false)) return true;
      destroyQuietly(options.connector, opened.connection);
      return false;
    } catch (thrown) {
      governor.end(attempt);
      const error = toError(thrown);
      // What the pool's own end cut off says nothing about the endpoint.
      if (this.#status === "closing") return false;
      this.totals.connectsFailed++;
      this.#lastConnectError = error;
      tell({ kind: "connect-failed", address, error });
      governor.refused(attempt, error);
      this.turn();
      return false;
    }
  }

  /** Takes a new connection in, if it is wanted and there is a place. One that comes late has none kept for it. */
  #adopt({ connection, line }: Opened<C>, governor: Governor, isLate: boolean): boolean {
    if (this.#status === "closing" || (isLate && this.#freePlaces <= 0)) return false;
    const stamp = governor.connected();
    const member = this.#members.add(connection, governor, stamp);
    line.onBroke = (cause) => this.end(member, "broke", cause);
    this.#parts.tell({ kind: "connected", address: governor.address, id: member.id, isLate });
    this.#rest(member);
    return true;
  }

  async #validate(member: Member<C>): Promise<void> {
    const { connector, clock, checkDeadlineMs } = this.#parts.options;
    const { address } = member.governor;
    try {
      await within({
        clock,
        deadlineMs: checkDeadlineMs,
        signal: this.#ending.signal,
        call: async (signal) => await connector.check?.(member.connection, signal),
        expired: () => stalled("answer to a check", checkDeadlineMs, address),
      });
    } catch (cause) {
      return this.end(member, "check-failed", toError(cause));
    }
    // It may have broken meanwhile.
    if (member.status !== "checking") return;
    member.usedAtMs = clock.monotonicMs();
    prove(member);
    this.#parts.tell({ kind: "checked", address, id: member.id });
    this.#rest(member);
  }

  /** It is idle, or at its end if it was only waited for. */
  #rest(member: Member<C>): void {
    if (this.#status === "closing") return this.end(member, "pool-closed");
    if (member.isReplaced && this.#isSpare) return this.end(member, "retired");
    // Its replacement may have gone already.
    member.isReplaced = false;
    this.#members.rest(member);
    this.turn();
  }

  #due(member: Member<C>): void {
    const { clock, idleTimeoutMs } = this.#parts.options;
    const isIdleForLong = clock.monotonicMs() - member.usedAtMs >= idleTimeoutMs - 1;
    if (isIdleForLong && this.#isSpare) return this.end(member, "idle");
    if (isIdleForLong) this.#members.keep(member);
    else this.#members.rest(member);
    this.turn();
  }

  /** What the end of a connection says about its endpoint. */
  #ended(member: Member<C>, why: CloseReason, error: Error | undefined): void {
    const { address } = member.governor;
    this.#parts.tell({ kind: "ended", address, id: member.id, why, error });
    if (why === "check-failed") this.totals.checksFailed++;
    if (member.holding !== undefined && error !== undefined) this.totals.lost++;
    if (error === undefined || this.#status === "closing") return;
    if (why === "check-failed" || why === "stalled" || this.#isStillborn(member, why))
      member.governor.disproved(member.stamp, error);
  }

  #isStillborn({ isProven, openedAtMs }: Member<C>, why: CloseReason): boolean {
    if (why !== "broke" && why !== "poisoned") return false;
    return !isProven && this.#parts.options.clock.monotonicMs() - openedAtMs < YOUNG_MS;
  }
}

/** It has worked: nothing is held against it, and it speaks for its endpoint. */
function prove(member: {
  isProven: boolean;
  isSuspect: boolean;
  governor: Governor;
  stamp: number;
}): void {
  member.isProven = true;
  member.isSuspect = false;
  member.governor.proved(member.stamp);
}
