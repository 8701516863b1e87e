/**
 * A group: members in the order of their start, stopped in reverse, each under a strategy. What a member hands up,
 * the group above decides about the group as a whole.
 */
import { NAME_PATTERN } from "../src/contract/name.ts";
import { resolveUnitLimits } from "../src/actor/limits.ts";
import type { ShellParent } from "../src/actor/shell.ts";
import type {
  Directive,
  Strategy,
  Supervisor,
  UnitDefinition,
  UnitRef,
  UnitState,
} from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";
import type { Clock } from "../src/host/clock.ts";
import type { Random } from "../src/host/random.ts";
import { Announcer, type Audience } from "./announcer.ts";
import { Attempt } from "./attempt.ts";
import { Child } from "./child.ts";
import type { Escalation, Guardian, Member, Outcome, Sibling } from "./guardian.ts";
import { Restarts } from "./restarts.ts";
import { restartTogether, stopInTurn } from "./together.ts";
import type { Verdict } from "./verdict.ts";

/** What a group is made with. */
export interface GroupParts {
  /** "" for the root. */
  readonly path: string;
  /** For its members. */
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly random: Random;
  readonly shells: ShellParent;
  readonly audience: Audience;
  /** Decides about the group. */
  readonly above: Guardian;
}

/** See the file's head. */
export class Group implements Supervisor, Member {
  readonly #parts: GroupParts;
  /** By name, in start order. */
  readonly #members = new Map<string, Member>();
  /** One for each strategy among the members. */
  readonly #guardians = new Map<Strategy, Guardian>();
  /** Of this group as a whole: what its members hand up is charged here. */
  readonly #restarts: Restarts;
  #epoch = 1;
  readonly #announcer: Announcer;
  /** On the slow lane. */
  readonly #attempt: Attempt;
  #stopping: Promise<void> | undefined;

  constructor(parts: GroupParts) {
    const { path, clock, random, above, audience } = parts;
    this.#parts = parts;
    this.#announcer = new Announcer(path, audience);
    this.#attempt = new Attempt(clock);
    this.#restarts = new Restarts({ strategy: above.strategy, clock, random }, () =>
      this.#announcer.emit({ kind: "recovered", unit: path, epoch: this.#epoch }),
    );
  }

  get path(): string {
    return this.#parts.path;
  }

  get nextAttemptMs(): number | undefined {
    return this.#attempt.dueMs;
  }

  start<Message>(definition: UnitDefinition<Message>): UnitRef<Message> {
    const limits = resolveUnitLimits(definition);
    const { path, lastEpoch } = this.#claim(definition.name);
    const guardian = this.#guardian(definition.strategy ?? this.#parts.strategy);
    const group = this.#parts;
    const unit = new Child<Message>({ path, lastEpoch, definition, limits, guardian, group });
    this.#members.set(definition.name, unit);
    return unit;
  }

  group(name: string, strategy: Strategy): Supervisor {
    const { path } = this.#claim(name);
    const shells = this.#parts.shells.group(name);
    const above = this.#guardian(this.#parts.strategy);
    const group = new Group({ ...this.#parts, path, strategy, shells, above });
    this.#members.set(name, group);
    return group;
  }

  states(): readonly UnitState[] {
    return this.units().map((unit) => unit.state());
  }

  find(path: string): UnitRef<unknown> | undefined {
    const [name = "", ...rest] = path.slice(this.path === "" ? 0 : this.path.length + 1).split("/");
    const member = this.#members.get(name);
    if (rest.length > 0) return member instanceof Group ? member.find(path) : undefined;
    return member instanceof Child && member.path === path ? member : undefined;
  }

  async stop(): Promise<{ readonly notStopped: readonly string[] }> {
    this.#stopping ??= this.#stop();
    await this.#stopping;
    // Asked again later, what hung may be gone.
    return { notStopped: await stopInTurn([...this.#members.values()]) };
  }

  // As a member

  units(): readonly Sibling[] {
    return unitsOf([...this.#members.values()]);
  }

  async halt(): Promise<readonly string[]> {
    return (await this.stop()).notStopped;
  }

  // What the members see

  #guardian(strategy: Strategy): Guardian {
    const known = this.#guardians.get(strategy);
    if (known !== undefined) return known;
    const guardian: Guardian = {
      strategy,
      isStopping: () => this.#isStopping(),
      alive: () => this.#alive(),
      escalate: (escalation) => this.#escalated(escalation),
      restart: (member, waitMs, reason) => {
        const units = unitsOf(this.#affected(strategy, member));
        const restarted = units.filter((unit) => unit.isRestartable || unit.isParkedWith(member));
        restartTogether(restarted, waitMs, reason);
      },
      park: (member, error, delayMs) => {
        const units = unitsOf(this.#affected(strategy, member)).filter(
          (unit) => unit.isRestartable,
        );
        for (const unit of units.toReversed()) unit.park({ error, cause: member, delayMs });
      },
      stop: (member) => void stopInTurn(this.#affected(strategy, member)),
      wake: (member) => this.#wake(member),
    };
    this.#guardians.set(strategy, guardian);
    return guardian;
  }

  /** The members that share this one's fate, in start order. */
  #affected({ scope }: Strategy, failed: Member): readonly Member[] {
    if (scope === "one-for-one") return [failed];
    const members = [...this.#members.values()];
    return scope === "all-for-one" ? members : members.slice(members.indexOf(failed));
  }

  #wake(cause: Member): void {
    if (this.#isStopping()) return;
    const parked = this.units().filter((unit) => unit.isParkedWith(cause));
    restartTogether(parked, 0, new HoldfastError("UNIT_STOPPED", "what was parked starts again"));
  }

  #alive(): void {
    this.#restarts.alive();
    this.#parts.above.alive();
  }

  // Escalation

  /** A member could not be decided here: the one above decides about this group as a whole. */
  #escalated(escalation: Escalation): Outcome {
    const { above, path } = this.#parts;
    const { error, isResumable } = escalation;
    if (path === "") return above.escalate(escalation);
    const verdict = this.#restarts.judge(error, isResumable);
    if (verdict.deciderError !== undefined) this.#tellFailure(verdict.deciderError, "escalate");
    this.#tellFailure(error, verdict.directive);
    return this.#carryOut(verdict, escalation);
  }

  #carryOut({ action, isTriedAgain }: Verdict, escalation: Escalation): Outcome {
    const { above, path } = this.#parts;
    const { error } = escalation;
    this.#restarts.end();
    this.#attempt.cancel();
    switch (action) {
      case "resume":
        this.#restarts.watch();
        return "resume";
      case "restart":
        this.#epoch++;
        above.restart(this, this.#restarts.nextDelayMs(), error);
        this.#restarts.watch();
        return "handled";
      case "stop":
        above.stop(this);
        return "handled";
      case "park":
        this.#park(error, isTriedAgain);
        return "handled";
      case "escalate":
        this.#announcer.emit({ kind: "escalated", unit: path, epoch: this.#epoch, error });
        return above.escalate(escalation);
    }
  }

  #park(error: Error, isTriedAgain: boolean): void {
    const { above } = this.#parts;
    const delayMs = isTriedAgain ? this.#restarts.nextSlowDelayMs() : undefined;
    above.park(this, error, delayMs);
    if (delayMs === undefined || this.#isStopping()) return;
    this.#attempt.schedule(delayMs, () => {
      this.#epoch++;
      above.wake(this);
      this.#restarts.watch();
    });
  }

  #tellFailure(error: Error, directive: Directive): void {
    this.#announcer.failed(this.#epoch, this.#restarts, error, directive);
  }

  // The end

  async #stop(): Promise<void> {
    // So that whatever fails from here on finds the stop already under way.
    await Promise.resolve();
    this.#attempt.cancel();
    await stopInTurn([...this.#members.values()]);
    this.#restarts.end();
    this.#parts.shells.stop();
  }

  #isStopping(): boolean {
    return this.#stopping !== undefined || this.#parts.above.isStopping();
  }

  /** A name that is free: never used, or of a unit that is stopped. Epochs of a name never go back. */
  #claim(name: string): { readonly path: string; readonly lastEpoch: number } {
    const path = this.path === "" ? name : `${this.path}/${name}`;
    if (!NAME_PATTERN.test(name))
      throw new HoldfastError(
        "CONFIG_VALUE",
        `unit name is ${JSON.stringify(name)}, allowed are lower-case letters, digits and "-", at most 63`,
      );
    if (this.#isStopping())
      throw new HoldfastError("UNIT_STOPPED", `${path}: its supervisor is stopped`);
    const holder = this.#members.get(name);
    if (holder === undefined) return { path, lastEpoch: 0 };
    const { status, epoch } = holder instanceof Child ? holder.state() : GROUP_STATE;
    if (status !== "stopped")
      throw new HoldfastError(
        "CONFIG_CONFLICT",
        `unit ${path} is there already, 1 of a name is allowed`,
      );
    this.#members.delete(name);
    return { path, lastEpoch: epoch };
  }
}

/** A group keeps its name. */
const GROUP_STATE = { status: "running", epoch: 0 } as const;

/** Depth first, in start order. */
function unitsOf(members: readonly Member[]): readonly Sibling[] {
  return members.flatMap((member) => member.units());
}
