/**
 * Units: anything supervised. Types only; `supervisors/` decides, `src/actor/` carries out.
 */

/** What a failure leads to. */
export type Directive = "resume" | "restart" | "stop" | "escalate";
/** Maps an error to a directive. A throw inside counts as `escalate`. */
export type Decider = (error: Error) => Directive;

/** How long to wait before restart `attempt` (0 for the first since health). */
export interface Backoff {
  readonly kind: "backoff";
  readonly jitter: "equal" | "none";
  readonly minMs: number;
  readonly maxMs: number;
  /** Health of this length with progress sets the attempts back to 0. */
  readonly resetAfterMs: number;
}

/** What happens when the restart window is used up. */
export type OnExhausted = "park" | "stop" | "escalate";

/** Options of a strategy. */
export interface StrategyOptions {
  /** Restarts in any interval of `withinMs`; 0 = never, Infinity = always. */
  readonly maxRestarts: number;
  readonly withinMs: number;
  /** @defaultValue restart */
  readonly decide?: Decider;
  /** @defaultValue equal jitter 250 ms .. 5 s, reset after 30 s */
  readonly backoff?: Backoff;
  /** @defaultValue park */
  readonly onExhausted?: OnExhausted;
}

/** A strategy with nothing left open. */
export interface Strategy {
  readonly scope: "one-for-one" | "all-for-one" | "rest-for-one";
  readonly maxRestarts: number;
  readonly withinMs: number;
  readonly decide: Decider;
  readonly backoff: Backoff;
  readonly onExhausted: OnExhausted;
}

/** What a unit is doing, as status and metrics show it. */
export type UnitStatus =
  | "starting"
  | "running"
  | "paused"
  | "backing-off"
  | "parked"
  | "stopping"
  | "stopped";

/** A unit as others see it. */
export interface UnitState {
  /** Path without the root: `receivers/meters`. */
  readonly unit: string;
  readonly status: UnitStatus;
  readonly epoch: number;
  /** Restarts inside the current window. */
  readonly restarts: number;
  readonly maxRestarts: number;
  readonly sinceMs: number;
  /** When the next attempt is due (monotonic): while it backs off, and while it is parked and will be tried again. */
  readonly nextAttemptMs: number | undefined;
  readonly lastError: Error | undefined;
}

/** What a unit gets when it is opened. Once `signal` aborts, nothing it does has an effect. Functions need no `this`. */
export interface UnitContext {
  /** `receivers/meters` */
  readonly path: string;
  readonly epoch: number;
  readonly signal: AbortSignal;
  /** Fails this incarnation from outside a handler; ignored and counted once it is over. */
  readonly fail: (cause: unknown) => void;
  /** Progress: a durable record, a protocol round trip. Health for the backoff's reset needs one. */
  readonly alive: () => void;
  /**
   * Has this session told when that unit has stopped for good (a parked one has not), or at once if it has: exactly
   * once, after the messages that were there before, even with a full mailbox. Ends with the incarnation. A session
   * that watches and has no `terminated` fails then with UNIT_TERMINATED. @throws CONFIG_OUT_OF_RANGE beyond 10,000 units
   */
  readonly watch: (unit: Pick<UnitRef, "path" | "onStopped">) => void;
  /** It is not told any more, even if the unit has stopped already. */
  readonly unwatch: (unit: Pick<UnitRef, "path" | "onStopped">) => void;
  /**
   * Sets the message that is being handled aside, until `unstashAll` or the next incarnation. Called by a handler that
   * waits for something else; should that handler fail, the message is dropped like any other.
   * @throws UNIT_STASH_FULL when as many are set aside as the mailbox holds: the handler had better fail then
   */
  readonly stash: () => void;
  /** What was set aside is handled next, in its order. */
  readonly unstashAll: () => void;
}

/** A running incarnation of a unit. */
export interface UnitSession<Message> {
  /** Never called twice at once. A throw or rejection fails the incarnation. */
  handle?(message: Message): void | Promise<void>;
  /** Rejects = failed; resolves = the unit has done its work and stops. */
  run?(): Promise<void>;
  /** The error was decided `resume`: state is kept, the message that failed is dropped. Overtakes what waits. */
  resumed?(cause: Error): void;
  /** A unit that was watched has stopped. Never beside a handler; a throw or rejection fails the incarnation. */
  terminated?(path: string): void | Promise<void>;
  /** Once per opened incarnation: frees what it holds. Forced when the signal aborts. */
  close(signal: AbortSignal): Promise<void> | void;
}

/** A unit before it runs. Supervisors open it again for each incarnation. */
export interface UnitDefinition<Message = never> {
  /** Matches `[a-z][a-z0-9-]{0,62}`. */
  readonly name: string;
  open(context: UnitContext): Promise<UnitSession<Message>>;
  /**
   * Called synchronously when an incarnation is over, with the epoch of the next: from now on the old one's
   * effects are refused. Resolves when what it had accepted is settled; only then the next one is opened.
   */
  fence?(nextEpoch: number): Promise<void>;
  /** Replaces the supervisor's strategy for this child. */
  readonly strategy?: Strategy;
  /** @defaultValue 30,000 */
  readonly openDeadlineMs?: number;
  /** @defaultValue 30,000 */
  readonly handleDeadlineMs?: number;
  /** @defaultValue 5,000 */
  readonly closeDeadlineMs?: number;
  /** Messages that wait, 1 to 1,048,576; `overflow` says what becomes of a further one. @defaultValue 1,024 */
  readonly mailboxMax?: number;
  /** @defaultValue reject */
  readonly overflow?: Overflow;
  /** Running without `alive()` for longer is a failure, UNIT_STALLED. @defaultValue Infinity: it may be silent */
  readonly aliveWithinMs?: number;
}

/**
 * What becomes of a message for a full mailbox. `reject`: the sender is told and keeps it. `drop-oldest`: it takes the
 * place of the one that has waited longest. `drop-newest`: it is dropped itself. What is dropped is told as an event.
 */
export type Overflow = "reject" | "drop-oldest" | "drop-newest";

/** Why a message that was accepted was not handled to its end. */
export type DropReason =
  | "handler-failed"
  | "handler-overdue"
  | "epoch-ended"
  | "no-handler"
  | "mailbox-full"
  | "displaced"
  | "unit-parked"
  | "unit-stopped";

/** A supervised unit from outside. It stays the same over restarts. */
export interface UnitRef<Message = never> {
  readonly path: string;
  state(): UnitState;
  /** Resolves when the first incarnation is open; rejects when it was parked, stopped or escalated before. */
  readonly started: Promise<void>;
  /**
   * Never throws. `ok`: it waits, over restarts too. `full`: refused, the mailbox is at its limit. `dropped`: likewise,
   * but told as an event (`overflow: "drop-newest"`). `dead`: the unit is stopped or parked.
   */
  tell(message: Message): "ok" | "full" | "dropped" | "dead";
  /**
   * Resolves when the message was accepted, and only then: with a full mailbox, whatever its `overflow`, it waits for
   * room, first come, first served. Rejects with the signal's reason when that aborts before, with UNIT_STOPPED or
   * UNIT_PARKED when the unit takes no more, and with BUSY when 1,024 wait already.
   */
  offer(message: Message, signal?: AbortSignal): Promise<void>;
  /**
   * Calls once, a microtask after the unit has stopped for good, or after this call if it has. A throw inside changes
   * nothing. The result takes it back.
   */
  onStopped(listener: () => void): () => void;
  /** By hand: a parked unit starts again with an empty window; a running one is restarted. */
  restart(): void;
  /** For good; overtakes a restart. */
  stop(): Promise<void>;
}

/**
 * What supervisors tell while they work; the composition root turns these into public events. They tell every change of
 * a unit's status, so who keeps them knows the state of each unit: `starting`, `started` (running), `backing-off`,
 * `parked`, `stopping`, `stopped`.
 */
export type UnitEvent =
  | { readonly kind: "starting"; readonly unit: string; readonly epoch: number }
  | {
      readonly kind: "started";
      readonly unit: string;
      readonly epoch: number;
      readonly restarted: boolean;
    }
  | {
      readonly kind: "failed";
      readonly unit: string;
      readonly epoch: number;
      readonly error: Error;
      readonly directive: Directive;
      readonly restarts: number;
      readonly maxRestarts: number;
    }
  | {
      readonly kind: "backing-off";
      readonly unit: string;
      readonly epoch: number;
      readonly delayMs: number;
    }
  | {
      readonly kind: "parked";
      readonly unit: string;
      readonly epoch: number;
      readonly error: Error;
      /** Until the slow lane tries it again; undefined: a person has to. */
      readonly delayMs: number | undefined;
    }
  | {
      readonly kind: "escalated";
      readonly unit: string;
      readonly epoch: number;
      readonly error: Error;
    }
  | { readonly kind: "recovered"; readonly unit: string; readonly epoch: number }
  | { readonly kind: "stopping"; readonly unit: string; readonly epoch: number }
  | { readonly kind: "stopped"; readonly unit: string; readonly epoch: number }
  | {
      readonly kind: "late-result-ignored";
      readonly unit: string;
      readonly epoch: number;
      readonly error: Error;
    }
  | {
      readonly kind: "message-dropped";
      readonly unit: string;
      readonly epoch: number;
      readonly why: DropReason;
      readonly count: number;
      /** Oldest first, at most 1,024: of a flood in one turn the first, otherwise all. */
      readonly messages: readonly unknown[];
    };

/** A group of children under one strategy; itself a child of another supervisor or the root. */
export interface Supervisor {
  readonly path: string;
  /** Starts a child; children are stopped in reverse order of their start. Throws CONFIG_CONFLICT on a taken name. */
  start<Message>(definition: UnitDefinition<Message>): UnitRef<Message>;
  /** A supervisor below this one: what it escalates is decided by this one's strategy. */
  group(name: string, strategy: Strategy): Supervisor;
  /** All units below, depth first, in start order. */
  states(): readonly UnitState[];
  find(path: string): UnitRef<unknown> | undefined;
  /** Stops children in reverse start order, each within its deadline; names those that did not stop. May be called twice. */
  stop(): Promise<{ readonly notStopped: readonly string[] }>;
}
