/**
 * A reference model of a supervision tree: who shares whose fate, in which order. All failures happen at one moment,
 * so windows are plain counts, and what is parked waits for a hand.
 */
import type { Directive, OnExhausted, Strategy } from "../../src/contract/unit.ts";

/** A group of the tree, its strategy, and its members: groups, and units where there is none. */
export interface GroupPlan {
  readonly scope: Strategy["scope"];
  readonly directive: Directive;
  readonly onExhausted: OnExhausted;
  readonly maxRestarts: number;
  readonly members: readonly (GroupPlan | undefined)[];
}

interface Node {
  readonly name: string;
  readonly parent: GroupNode | undefined;
  restarts: number;
  /** It was parked and has not been healthy since. */
  isSlow: boolean;
}
export interface UnitNode extends Node {
  readonly kind: "unit";
  readonly path: string;
  status: "running" | "parked" | "stopped";
  epoch: number;
  parkedWith: Node | undefined;
}
interface GroupNode extends Node {
  readonly kind: "group";
  readonly plan: GroupPlan;
  readonly members: readonly (GroupNode | UnitNode)[];
}
type Member = GroupNode | UnitNode;

/** What a failure, or a hand, has led to. */
export interface Effect {
  readonly kind: "none" | "restarted" | "parked" | "stopped";
  /** In start order. */
  readonly units: readonly UnitNode[];
}

const NOTHING: Effect = { kind: "none", units: [] };

export class TreeModel {
  readonly units: readonly UnitNode[];
  /** Escalations that nobody decided. */
  escalated = 0;

  constructor(plan: GroupPlan) {
    this.units = unitsOf(groupOf(plan, undefined, { name: "", path: "" }));
  }

  fail(unit: UnitNode): Effect {
    if (unit.status !== "running") return NOTHING;
    return this.#decide(unit, unit);
  }

  /** By hand. */
  restart(unit: UnitNode): Effect {
    if (unit.status === "stopped") return NOTHING;
    const isAlone = unit.status === "running" || unit.parkedWith !== unit;
    if (unit.status === "parked") {
      unit.restarts = 0;
      unit.isSlow = false;
    }
    return restarted(isAlone ? [unit] : this.units.filter(({ parkedWith }) => parkedWith === unit));
  }

  /** By hand. */
  stop(unit: UnitNode): Effect {
    return stopped([unit]);
  }

  /** The group above decides about a member; `failed` is the unit with which it began. */
  #decide(member: Member, failed: UnitNode): Effect {
    const { parent } = member;
    if (parent === undefined) return this.#undecided(failed);
    const { directive, maxRestarts, onExhausted, scope } = parent.plan;
    const affected = unitsOf({ ...parent, members: affectedBy(member, parent.members, scope) });
    if (directive === "resume") return NOTHING;
    if (directive === "stop") return stopped(affected);
    if (directive === "escalate") return this.#decide(parent, failed);
    if (!member.isSlow && member.restarts < maxRestarts) {
      member.restarts++;
      return restarted(
        affected.filter((unit) => unit.status === "running" || unit.parkedWith === member),
      );
    }
    if (onExhausted === "stop") return stopped(affected);
    if (onExhausted === "escalate") return this.#decide(parent, failed);
    if (maxRestarts > 0) member.isSlow = true;
    return parked(
      affected.filter(({ status }) => status === "running"),
      member,
    );
  }

  #undecided(failed: UnitNode): Effect {
    this.escalated++;
    return parked([failed], failed);
  }
}

function groupOf(
  plan: GroupPlan,
  parent: GroupNode | undefined,
  { name, path }: { readonly name: string; readonly path: string },
): GroupNode {
  const members: Member[] = [];
  const group: GroupNode = {
    kind: "group",
    name,
    parent,
    plan,
    members,
    restarts: 0,
    isSlow: false,
  };
  for (const [index, member] of plan.members.entries()) {
    const own = { name: `m${index}`, path: path === "" ? `m${index}` : `${path}/m${index}` };
    members.push(member === undefined ? unitOf(own, group) : groupOf(member, group, own));
  }
  return group;
}

function unitOf(
  { name, path }: { readonly name: string; readonly path: string },
  parent: GroupNode,
): UnitNode {
  const none = { restarts: 0, isSlow: false, parkedWith: undefined };
  return { kind: "unit", name, path, parent, status: "running", epoch: 1, ...none };
}

function unitsOf(member: Member): readonly UnitNode[] {
  return member.kind === "unit" ? [member] : member.members.flatMap(unitsOf);
}

function affectedBy(
  failed: Member,
  members: readonly Member[],
  scope: Strategy["scope"],
): readonly Member[] {
  if (scope === "one-for-one") return [failed];
  return scope === "all-for-one" ? members : members.slice(members.indexOf(failed));
}

function restarted(units: readonly UnitNode[]): Effect {
  for (const unit of units) {
    unit.status = "running";
    unit.parkedWith = undefined;
    unit.epoch++;
  }
  return { kind: "restarted", units };
}

function parked(units: readonly UnitNode[], cause: Node): Effect {
  for (const unit of units) {
    unit.status = "parked";
    unit.parkedWith = cause;
  }
  return { kind: "parked", units };
}

function stopped(units: readonly UnitNode[]): Effect {
  const ended = units.filter(({ status }) => status === "running");
  for (const unit of units) {
    unit.status = "stopped";
    unit.parkedWith = undefined;
  }
  return { kind: "stopped", units: ended };
}
