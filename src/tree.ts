/**
 * The supervision tree of an ingest: its groups, their default strategies, and unit events as public events.
 */
import { createSupervisor, equalJitter, oneForOne } from "../supervisors/index.ts";
import type { Emit } from "./contract/events.ts";
import type { Receiver } from "./contract/receiver.ts";
import type {
  Strategy,
  Supervisor,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitState,
} from "./contract/unit.ts";
import { CODES, HoldfastError } from "./errors.ts";
import { atMost } from "./host/clock.ts";
import type { Host } from "./host/host.ts";

/** For a unit that nothing else needs: tried for a while, then set aside, visibly. It never ends the process. */
export const BESIDE: Strategy = oneForOne({
  maxRestarts: 10,
  withinMs: 60_000,
  decide: () => "restart",
  onExhausted: "park",
});

/** What the tree is made with. */
export interface TreeOptions {
  readonly host: Host;
  readonly emit: Emit;
  readonly supervision: {
    readonly receivers: Strategy | undefined;
    readonly pipelines: Strategy | undefined;
  };
  /** The root is exhausted. */
  readonly gaveUp: (error: Error) => void;
}

/** The groups of an ingest. */
export interface Tree {
  readonly root: Supervisor;
  readonly receivers: Supervisor;
  readonly pipelines: Supervisor;
  /** Starts a receiver's unit with the strategy of its kind. @throws CONFIG_CONFLICT on a taken name */
  startReceiver(definition: UnitDefinition, receiver: Pick<Receiver, "dials">): UnitRef;
  /**
   * Resolves when each unit has run or failed once, or after `withinMs`: what is down later is the supervisor's
   * business. Rejects when one failed for a reason that only a person can change: a taken port, a wrong configuration.
   */
  settled(paths: readonly string[], withinMs?: number): Promise<void>;
  isRunning(path: string): boolean;
}

const MINUTE_MS = 60_000;

/** The log is opened again three times a minute; then the process ends and whoever watches it decides. */
const ROOT = oneForOne({ maxRestarts: 3, withinMs: MINUTE_MS, onExhausted: "escalate" });
/** A device that keeps failing is set aside, visibly; the others go on. */
const RECEIVERS = oneForOne({ maxRestarts: 10, withinMs: MINUTE_MS, onExhausted: "park" });
/** What is connected to may be away for weeks: it is tried for ever. What trying cannot mend parks at once. */
const DIALLING = oneForOne({
  maxRestarts: Infinity,
  withinMs: MINUTE_MS,
  backoff: equalJitter({ minMs: 250, maxMs: 10_000, resetAfterMs: 30_000 }),
});

/** Makes the tree; nothing runs yet. */
export function createTree({ host, emit, supervision, gaveUp }: TreeOptions): Tree {
  const outcomes = new Outcomes();
  const root = createSupervisor({
    name: "holdfast",
    strategy: ROOT,
    clock: host.clock,
    random: host.random,
    onEvent: (event) => {
      outcomes.note(event);
      publish(event, emit, root.find(event.unit)?.state());
    },
    onEscalated: gaveUp,
  });
  const receivers = root.group("receivers", supervision.receivers ?? RECEIVERS);
  return {
    root,
    pipelines: root.group("pipelines", supervision.pipelines ?? DIALLING),
    receivers,
    startReceiver: (definition, { dials = false }) =>
      // A strategy of its own, or one for all receivers, is what somebody has chosen.
      receivers.start(
        dials && supervision.receivers === undefined
          ? { strategy: DIALLING, ...definition }
          : definition,
      ),
    settled: (paths, withinMs) => settledWithin(host, outcomes, { paths, withinMs }),
    isRunning: (path) => root.find(path)?.state().status === "running",
  };
}

/** A unit that is waited for no longer goes on opening. */
async function settledWithin(
  { clock }: Host,
  outcomes: Outcomes,
  { paths, withinMs }: { readonly paths: readonly string[]; readonly withinMs: number | undefined },
): Promise<void> {
  const all = outcomes.settled(paths);
  return withinMs === undefined ? all : atMost(clock, withinMs, all);
}

/** The first outcome of each unit. */
class Outcomes {
  readonly #first = new Map<string, Error | "running" | "stopped">();
  readonly #waiting = new Map<string, () => void>();

  note(event: UnitEvent): void {
    if (this.#first.has(event.unit)) return;
    if (event.kind === "started") this.#first.set(event.unit, "running");
    else if (event.kind === "failed") this.#first.set(event.unit, event.error);
    // Stopped before it ran: nobody may wait for it any more.
    else if (event.kind === "stopped") this.#first.set(event.unit, "stopped");
    else return;
    this.#waiting.get(event.unit)?.();
  }

  async settled(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      if (!this.#first.has(path))
        await new Promise<void>((resolve) => this.#waiting.set(path, resolve));
      const first = this.#first.get(path);
      if (first instanceof HoldfastError && CODES[first.code].exitCode >= EXIT_UNAVAILABLE)
        throw named(path, first);
    }
  }
}

/** From here on exit codes say that a person has to change something: 69 unavailable, 78 configuration. */
const EXIT_UNAVAILABLE = 69;

/** A socket does not know who listens on it: the unit says which of several ports is meant. */
function named(path: string, error: HoldfastError): HoldfastError {
  if (error.code !== "PORT_IN_USE" && error.code !== "ADDRESS_UNAVAILABLE") return error;
  const { code, fix, cause } = error;
  return new HoldfastError(code, `${path.replace("/", ".")}: ${error.message}`, { fix, cause });
}

/** Each event of a unit as a public one: `unit-` and its kind; a start that is not the first is a restart. */
function publish(event: UnitEvent, emit: Emit, state: UnitState | undefined): void {
  if (event.kind === "failed") return publishFailure(event, emit);
  if (event.kind !== "started") return publishAsItIs(event, emit);
  if (event.restarted) return publishRestart(event, emit, state);
  emit("unit-started", { unit: event.unit, epoch: event.epoch });
}

function publishAsItIs(
  event: Exclude<UnitEvent, { kind: "started" | "failed" }>,
  emit: Emit,
): void {
  const { unit, epoch } = event;
  switch (event.kind) {
    case "parked":
      return emit("unit-parked", { unit, epoch, error: event.error, delayMs: event.delayMs });
    case "escalated":
    case "late-result-ignored":
      return emit(`unit-${event.kind}`, { unit, epoch, error: event.error });
    case "starting":
    case "recovered":
    case "stopping":
    case "stopped":
      return emit(`unit-${event.kind}`, { unit, epoch });
    case "backing-off":
      return emit("unit-backing-off", { unit, epoch, delayMs: event.delayMs });
    case "message-dropped": {
      const { why, count, messages } = event;
      return emit("unit-message-dropped", { unit, epoch, why, count, messages });
    }
  }
}

function publishRestart(
  { unit, epoch }: UnitEvent,
  emit: Emit,
  state: UnitState | undefined,
): void {
  const { restarts = 0, maxRestarts = 0 } = state ?? {};
  emit("unit-restarted", { unit, epoch, restarts, maxRestarts });
}

function publishFailure(
  { unit, epoch, error, directive, restarts, maxRestarts }: Extract<UnitEvent, { kind: "failed" }>,
  emit: Emit,
): void {
  emit("unit-failed", { unit, epoch, error, directive, restarts, maxRestarts });
  const [group, receiver] = unit.split("/");
  if (group === "receivers" && receiver !== undefined)
    emit("receiver-failed", { receiver, epoch, error, directive, restarts, maxRestarts });
}
