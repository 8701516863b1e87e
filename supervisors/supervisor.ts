/**
 * Supervisors: children in the order of their start, stopped in reverse, each with its strategy.
 */
import { NAME_PATTERN } from "../src/contract/name.ts";
import { resolveUnitLimits } from "../src/actor/limits.ts";
import { nactShells } from "../src/actor/nact-shell.ts";
import type { ShellParent, ShellSystem } from "../src/actor/shell.ts";
import { type Deferred, deferred } from "../src/actor/waits.ts";
import type {
  Directive,
  Strategy,
  Supervisor,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitState,
} from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";
import type { Clock } from "../src/host/clock.ts";
import type { Random } from "../src/host/random.ts";
import { Child } from "./child.ts";
import type { Escalation, Guardian, Outcome, Sibling } from "./guardian.ts";
import { Outbox } from "./outbox.ts";
import { Pacing } from "./pacing.ts";
import { recentRestarts, type RestartTimes } from "./restart-window.ts";
import { judge, type Verdict } from "./verdict.ts";

/** What the root of a tree is made with. */
export interface SupervisorOptions {
  /** Names the actor system; may be used again. */
  readonly name: string;
  /** For children that bring none of their own. */
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly random: Random;
  /** @defaultValue nact */
  readonly shells?: ShellSystem;
  /** Everything that happens, in order, a microtask later; a throw inside changes nothing. */
  readonly onEvent?: (event: UnitEvent) => void;
  /** Nothing above is left that could decide: called once for each escalation that reaches the root. */
  readonly onEscalated?: (error: Error) => void;
}

/** The root of a supervision tree. Nothing runs before `start`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { name, strategy, clock, random, shells = nactShells, onEvent, onEscalated } = options;
  const outbox = new Outbox();
  const emit = (event: UnitEvent): void => outbox.post(() => onEvent?.(event));
  const above: Above = {
    strategy,
    isStopping: () => false,
    alive: () => undefined,
    escalate: ({ error }) => {
      outbox.post(() => onEscalated?.(error));
      return "unhandled";
    },
    restart: () => undefined,
  };
  return new Group({ path: "", strategy, clock, random, shells: shells(name), emit, above });
}

/** What a group knows of the one above. For the root that is whoever made it. */
interface Above {
  /** Decides about the group. */
  readonly strategy: Strategy;
  isStopping(): boolean;
  alive(): void;
  /** The group hands up what it was handed up. */
  escalate(escalation: Escalation): Outcome;
  restart(group: Group, waitMs: number, reason: Error): void;
}

interface GroupParts {
  /** "" for the root. */
  readonly path: string;
  /** For its children. */
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly random: Random;
  readonly shells: ShellParent;
  readonly emit: (event: UnitEvent) => void;
  readonly above: Above;
}

type Member =
  | { readonly kind: "unit"; readonly name: string; readonly unit: Sibling & UnitRef<unknown> }
  | { readonly kind: "group"; readonly name: string; readonly group: Group };

class Group implements Supervisor {
  readonly #parts: GroupParts;
  /** In start order. */
  #members: readonly Member[] = [];
  /** Restarts of this group as a whole: what its children escalate is charged here. */
  #restartTimes: RestartTimes = [];
  #epoch = 1;
  readonly #pacing: Pacing;
  #stopping: Promise<{ readonly notStopped: readonly string[] }> | undefined;

  constructor(parts: GroupParts) {
    const { path, clock, random, above, emit } = parts;
    this.#parts = parts;
    const recovered = (): void => emit({ kind: "recovered", unit: path, epoch: this.#epoch });
    this.#pacing = new Pacing({ backoff: above.strategy.backoff, clock, random, recovered });
  }

  get path(): string {
    return this.#parts.path;
  }

  start<Message>(definition: UnitDefinition<Message>): UnitRef<Message> {
    const path = this.#claim(definition.name);
    const { shells, clock, random, emit } = this.#parts;
    const strategy = definition.strategy ?? this.#parts.strategy;
    const unit = new Child<Message>({
      path,
      definition,
      limits: resolveUnitLimits(definition),
      strategy,
      shells,
      clock,
      random,
      emit,
      guardian: this.#guardian(strategy),
    });
    this.#members = [...this.#members, { kind: "unit", name: definition.name, unit }];
    return unit;
  }

  group(name: string, strategy: Strategy): Supervisor {
    const path = this.#claim(name);
    const shells = this.#parts.shells.group(name);
    const group = new Group({ ...this.#parts, path, strategy, shells, above: this.#aboveGroups() });
    this.#members = [...this.#members, { kind: "group", name, group }];
    return group;
  }

  states(): readonly UnitState[] {
    return this.units().map((unit) => unit.state());
  }

  find(path: string): UnitRef<unknown> | undefined {
    return this.units().find((unit) => unit.path === path);
  }

  stop(): Promise<{ readonly notStopped: readonly string[] }> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  // What the children see

  #guardian(strategy: Strategy): Guardian {
    return {
      isStopping: () => this.#isStopping(),
      restart: (child, waitMs, reason) => {
        const [only, ...others] = this.#affected(strategy, child);
        if (only === undefined || others.length === 0) void child.restartAfter(waitMs, reason);
        else restartTogether([only, ...others], waitMs, reason);
      },
      escalate: (escalation) => this.#escalated(escalation),
      alive: () => this.#alive(),
    };
  }

  #aboveGroups(): Above {
    const { strategy } = this.#parts;
    return {
      strategy,
      isStopping: () => this.#isStopping(),
      alive: () => this.#alive(),
      escalate: (escalation) => this.#escalated(escalation),
      restart: (group, waitMs, reason) =>
        restartTogether(this.#affected(strategy, group), waitMs, reason),
    };
  }

  /** The units that restart when this member does, in start order. */
  #affected(strategy: Strategy, failed: Sibling | Group): readonly Sibling[] {
    const index = this.#members.findIndex((member) => bodyOf(member) === failed);
    switch (strategy.scope) {
      case "one-for-one":
        return unitsOf(this.#members.slice(index, index + 1));
      case "rest-for-one":
        return unitsOf(this.#members.slice(index));
      case "all-for-one":
        return unitsOf(this.#members);
    }
  }

  #alive(): void {
    this.#pacing.alive();
    this.#parts.above.alive();
  }

  // Escalation

  /** A child could not be decided here: the one above decides about this group as a whole. */
  #escalated(escalation: Escalation): Outcome {
    const { above, path, clock } = this.#parts;
    const { error, isResumable } = escalation;
    if (path === "") return above.escalate(escalation);
    const nowMs = clock.monotonicMs();
    const restartTimes = this.#restartTimes;
    const verdict = judge(above.strategy, { error, isResumable, restartTimes, nowMs });
    this.#restartTimes = verdict.restartTimes;
    if (verdict.deciderError !== undefined) this.#tellFailure(verdict.deciderError, "escalate");
    this.#tellFailure(error, verdict.directive);
    return this.#carryOut(verdict, escalation);
  }

  #carryOut({ action }: Verdict, escalation: Escalation): Outcome {
    const { above, path, emit } = this.#parts;
    const { error } = escalation;
    this.#pacing.end();
    switch (action) {
      case "resume":
        this.#pacing.watch();
        return "resume";
      case "restart":
        this.#epoch++;
        above.restart(this, this.#pacing.nextDelayMs(), error);
        this.#pacing.watch();
        return "handled";
      case "stop":
        void this.stop();
        return "handled";
      case "park":
        for (const unit of this.units()) if (unit.isRestartable) unit.park(error);
        return "handled";
      case "escalate":
        emit({ kind: "escalated", unit: path, epoch: this.#epoch, error });
        return above.escalate(escalation);
    }
  }

  #tellFailure(error: Error, directive: Directive): void {
    const { above, path, clock, emit } = this.#parts;
    const { maxRestarts, withinMs } = above.strategy;
    const restarts = recentRestarts(this.#restartTimes, clock.monotonicMs(), withinMs).length;
    emit({
      kind: "failed",
      unit: path,
      epoch: this.#epoch,
      error,
      directive,
      restarts,
      maxRestarts,
    });
  }

  // The end

  async #stop(): Promise<{ readonly notStopped: readonly string[] }> {
    // So that whatever fails from here on finds the stop already under way.
    await Promise.resolve();
    const notStopped: string[] = [];
    for (const member of this.#members.toReversed()) {
      if (member.kind === "group") notStopped.push(...(await member.group.stop()).notStopped);
      else if (!(await member.unit.end())) notStopped.push(member.unit.path);
    }
    this.#pacing.end();
    this.#parts.shells.stop();
    return { notStopped };
  }

  #isStopping(): boolean {
    return this.#stopping !== undefined || this.#parts.above.isStopping();
  }

  /** All units below, depth first, in start order. */
  units(): readonly (Sibling & UnitRef<unknown>)[] {
    return unitsOf(this.#members);
  }

  #claim(name: string): string {
    const path = this.path === "" ? name : `${this.path}/${name}`;
    if (!NAME_PATTERN.test(name))
      throw new HoldfastError(
        "CONFIG_VALUE",
        `unit name is ${JSON.stringify(name)}, allowed are lower-case letters, digits and "-", at most 63`,
      );
    if (this.#isStopping())
      throw new HoldfastError("UNIT_STOPPED", `${path}: its supervisor is stopped`);
    if (this.#members.some((member) => member.name === name))
      throw new HoldfastError(
        "CONFIG_CONFLICT",
        `unit ${path} is there already, 1 of a name is allowed`,
      );
    return path;
  }
}

function bodyOf(member: Member): Sibling | Group {
  return member.kind === "unit" ? member.unit : member.group;
}

/** Depth first, in start order. */
function unitsOf(members: readonly Member[]): readonly (Sibling & UnitRef<unknown>)[] {
  return members.flatMap((member) =>
    member.kind === "unit" ? [member.unit] : member.group.units(),
  );
}

/** All are over at once; then they close in reverse start order, wait together, and open in start order. */
function restartTogether(units: readonly Sibling[], waitMs: number, reason: Error): void {
  const members = units
    .filter((unit) => unit.isRestartable)
    .map((unit) => ({ unit, gate: deferred() }));
  const settled: Promise<unknown>[] = [];
  for (const { unit, gate } of members.toReversed()) {
    const closeAfter = settled.at(-1) ?? Promise.resolve();
    settled.push(unit.restartAfter(waitMs, reason, { closeAfter, openAfter: gate.promise }));
  }
  void openTogether(
    settled,
    members.map(({ gate }) => gate),
  );
}

async function openTogether(
  settled: readonly Promise<unknown>[],
  gates: readonly Deferred[],
): Promise<void> {
  await Promise.all(settled);
  for (const gate of gates) gate.resolve();
}
