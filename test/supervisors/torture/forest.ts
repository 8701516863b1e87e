/** A random tree: groups in groups, units among them, every strategy. */
import type { Decider, Directive, Strategy, Supervisor } from "../../../src/contract/unit.ts";
import {
  allForOne,
  equalJitter,
  oneForOne,
  restForOne,
  when,
  withoutJitter,
} from "../../../supervisors/index.ts";
import type { Chaos } from "./chaos.ts";
import { type Neighbours, TorturedUnit } from "./tortured-unit.ts";

const DEPTH_MAX = 8;
/** Of what is planted: the rest are units. */
const GROUPS = 0.2;
const OWN_STRATEGY = 0.2;
const SCOPES = [oneForOne, oneForOne, oneForOne, oneForOne, restForOne, allForOne] as const;
const RESTARTS = [0, 1, 3, 10, 100, Infinity, Infinity] as const;
const EXHAUSTED = [
  "park",
  "park",
  "park",
  "park",
  "escalate",
  "escalate",
  "escalate",
  "stop",
] as const;
const DIRECTIVES: readonly Directive[] = ["restart", "restart", "restart", "resume", "escalate"];

/** See the file's head. */
export class Forest {
  readonly units: TorturedUnit[] = [];
  /** By path. */
  readonly byPath: Map<string, TorturedUnit> = new Map();
  readonly #groups: { readonly group: Supervisor; readonly depth: number }[];
  readonly #near: Neighbours;
  readonly #chaos: Chaos;

  constructor(root: Supervisor, near: Neighbours) {
    this.#groups = [{ group: root, depth: 0 }];
    this.#near = near;
    this.#chaos = near.chaos;
  }

  get groupCount(): number {
    return this.#groups.length;
  }

  /** Until there are so many units. */
  grow(unitCount: number): void {
    while (this.units.length < unitCount) this.plant();
  }

  /** One unit or one group more, somewhere. Throws UNIT_STOPPED where that place is not any more. */
  plant(): void {
    const { random } = this.#chaos;
    const { group, depth } = random.pick(this.#groups);
    const isGroup = depth < DEPTH_MAX && random.chance(GROUPS);
    const name = `${isGroup ? "g" : "u"}${this.units.length + this.#groups.length}`;
    if (isGroup) {
      this.#groups.push({ group: group.group(name, this.#strategy()), depth: depth + 1 });
      return;
    }
    const unit = new TorturedUnit(name, this.#near);
    // Directly below the root a wide scope would reach the whole tree.
    const isOwn = depth > 0 && random.chance(OWN_STRATEGY);
    const own = isOwn ? { strategy: this.#strategy() } : {};
    unit.ref = group.start({ ...unit.definition(), ...own });
    this.units.push(unit);
    this.byPath.set(unit.ref.path, unit);
  }

  #strategy(): Strategy {
    const { random } = this.#chaos;
    const backoff = random.chance(0.5) ? equalJitter : withoutJitter;
    const scope = random.pick(SCOPES);
    return scope({
      maxRestarts: random.pick(RESTARTS),
      withinMs: random.pick([500, 5_000, Infinity]),
      onExhausted: random.pick(EXHAUSTED),
      backoff: backoff({
        minMs: random.pick([0, 20, 100]),
        maxMs: 1_000,
        resetAfterMs: random.pick([0, 500]),
      }),
      ...(random.chance(0.3) ? {} : { decide: this.#decider() }),
    });
  }

  #decider(): Decider {
    const chaos = this.#chaos;
    return when(RangeError, "resume")
      .when("BUSY", "restart")
      .when(TypeError, chaos.random.pick(DIRECTIVES))
      .when(() => {
        if (chaos.strikes("decide throws", 0.02)) chaos.throw();
        return chaos.strikes("decide stops", 0.005);
      }, "stop")
      .otherwise(chaos.random.pick(DIRECTIVES));
  }
}
