/**
 * Supervisors: children in the order of their start, stopped in reverse, each with its strategy.
 */
import { nactShells } from "../src/actor/nact-shell.ts";
import type { ShellParent, ShellSystem } from "../src/actor/shell.ts";
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

/** What the root of a tree is made with. */
export interface SupervisorOptions {
  readonly name: string;
  /** For children that bring none of their own. */
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly random: Random;
  /** @defaultValue nact */
  readonly shells?: ShellSystem;
  /** Everything that happens; a throw inside changes nothing. */
  readonly onEvent?: (event: UnitEvent) => void;
  /** Nothing above is left that could decide. Called once per escalation that reaches the root. */
  readonly onEscalated?: (error: Error) => void;
}

/** The root of a supervision tree. Nothing runs before `start`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { name, strategy, clock, random, shells = nactShells, onEvent, onEscalated } = options;
  const emit = (event: UnitEvent): void => {
    try {
      onEvent?.(event);
    } catch {
      // A listener is a bystander: what it throws must not change what is supervised.
    }
  };
  const escalate = (error: Error): void => onEscalated?.(error);
  return new Group({ path: "", strategy, clock, random, shells: shells(name), emit, escalate });
}

interface GroupParts {
  /** "" for the root. */
  readonly path: string;
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly random: Random;
  readonly shells: ShellParent;
  readonly emit: (event: UnitEvent) => void;
  readonly escalate: (error: Error) => void;
}

type Member =
  | { readonly kind: "unit"; readonly name: string; readonly unit: Child<never> }
  | { readonly kind: "group"; readonly name: string; readonly group: Group };

const NAME_PATTERN = /^[a-z][a-z0-9-]{0,62}$/;

class Group implements Supervisor {
  readonly #parts: GroupParts;
  /** In start order. */
  #members: readonly Member[] = [];
  #stopping: Promise<{ readonly notStopped: readonly string[] }> | undefined;

  constructor(parts: GroupParts) {
    this.#parts = parts;
  }

  get path(): string {
    return this.#parts.path;
  }

  start<Message>(definition: UnitDefinition<Message>): UnitRef<Message> {
    const { strategy, shells, clock, random, emit } = this.#parts;
    const path = this.#claim(definition.name);
    const unit = new Child<Message>({
      path,
      definition,
      strategy: definition.strategy ?? strategy,
      shells,
      clock,
      random,
      emit,
      escalate: (error) => this.#decide(definition.name, error),
    });
    // Members are only stopped, asked and found by path; messages go through the reference.
    this.#members = [
      ...this.#members,
      { kind: "unit", name: definition.name, unit: unit as unknown as Child<never> },
    ];
    return unit;
  }

  group(name: string, strategy: Strategy): Supervisor {
    const path = this.#claim(name);
    const { shells, ...shared } = this.#parts;
    const group = new Group({
      ...shared,
      path,
      strategy,
      shells: shells.group(name),
      escalate: (error) => this.#decide(name, error),
    });
    this.#members = [...this.#members, { kind: "group", name, group }];
    return group;
  }

  states(): readonly UnitState[] {
    return this.#members.flatMap((member) =>
      member.kind === "unit" ? [member.unit.state()] : member.group.states(),
    );
  }

  find(path: string): UnitRef<unknown> | undefined {
    for (const member of this.#members) {
      if (member.kind === "unit" && member.unit.path === path) return member.unit;
      const found =
        member.kind === "group" && path.startsWith(`${member.group.path}/`)
          ? member.group.find(path)
          : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  stop(): Promise<{ readonly notStopped: readonly string[] }> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<{ readonly notStopped: readonly string[] }> {
    const notStopped: string[] = [];
    for (const member of this.#members.toReversed()) {
      if (member.kind === "group") notStopped.push(...(await member.group.stop()).notStopped);
      else if (!(await member.unit.end())) notStopped.push(member.unit.path);
    }
    this.#parts.shells.stop();
    return { notStopped };
  }

  #claim(name: string): string {
    const path = this.path === "" ? name : `${this.path}/${name}`;
    if (!NAME_PATTERN.test(name))
      throw new HoldfastError(
        "CONFIG_VALUE",
        `unit name is ${JSON.stringify(name)}, allowed are lower-case letters, digits and "-", at most 63`,
      );
    if (this.#stopping !== undefined)
      throw new HoldfastError("UNIT_STOPPED", `${path}: its supervisor is stopped`);
    if (this.#members.some((member) => member.name === name))
      throw new HoldfastError(
        "CONFIG_CONFLICT",
        `unit ${path} is there already, 1 of a name is allowed`,
      );
    return path;
  }

  /** A child has handed an error up. A parked child is all that is left of it here, so `resume` starts it again. */
  #decide(name: string, error: Error): void {
    const { strategy, escalate } = this.#parts;
    let directive: Directive;
    try {
      directive = strategy.decide(error);
    } catch {
      directive = "escalate";
    }
    const member = this.#members.find((each) => each.name === name);
    // This group's own child was decided by this very strategy: asking it again would give the same answer.
    if (directive === "escalate" || member?.kind === "unit") return escalate(error);
    if (member === undefined) return;
    if (directive === "stop") return void member.group.stop();
    for (const { unit, status } of member.group.states())
      if (status === "parked") member.group.find(unit)?.restart();
  }
}
