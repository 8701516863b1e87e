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
  /** When the next attempt is due (monotonic), while backing off. */
  readonly nextAttemptMs: number | undefined;
  readonly lastError: Error | undefined;
}

/** What a unit gets when it is opened. Once `signal` aborts, nothing it does has an effect. */
export interface UnitContext {
  /** `receivers/meters` */
  readonly path: string;
  readonly epoch: number;
  readonly signal: AbortSignal;
  /** Fails this incarnation from outside a handler; ignored and counted once it is over. */
  readonly fail: (cause: unknown) => void;
  /** Progress: a durable record, a protocol round trip. Health for the backoff's reset needs one. */
  readonly alive: () => void;
}

/** A running incarnation of a unit. */
export interface UnitSession<Message> {
  /** Never called twice at once. A throw or rejection fails the incarnation. */
  handle?(message: Message): void | Promise<void>;
  /** Rejects = failed; resolves = the unit has done its work and stops. */
  run?(): Promise<void>;
  /** The error was decided `resume`: state is kept, the message that failed is dropped. */
  resumed?(cause: Error): void;
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
  /** Messages that wait; a further one is refused. @defaultValue 1,024 */
  readonly mailboxMax?: number;
}

/** A supervised unit from outside. It stays the same over restarts. */
export interface UnitRef<Message = never> {
  readonly path: string;
  state(): UnitState;
  /** Resolves when the first incarnation is open; rejects when it was parked, stopped or escalated before. */
  readonly started: Promise<void>;
  /** `full`: refused, the mailbox is at its limit. `dead`: the unit is stopped or parked. Never throws. */
  tell(message: Message): "ok" | "full" | "dead";
  /** By hand: a parked unit starts again with an empty window; a running one is restarted. */
  restart(): void;
  /** For good; overtakes a restart. */
  stop(): Promise<void>;
}

/** What supervisors tell while they work; the composition root turns these into public events. */
export type UnitEvent =
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
    }
  | {
      readonly kind: "escalated";
      readonly unit: string;
      readonly epoch: number;
      readonly error: Error;
    }
  | { readonly kind: "recovered"; readonly unit: string; readonly epoch: number }
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
      readonly why: string;
      readonly count: number;
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
