/**
 * The endpoints of a pool in order of preference: which one connects, and which ones are probed.
 */
import type { EndpointState, EndpointStatus } from "../contract/pool.ts";
import { Governor } from "./governor.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/** What the endpoints tell their pool. */
export interface EndpointsParts {
  readonly options: ResolvedPoolOptions<unknown>;
  /** Whoever changed it takes the turn, when the change is whole. */
  readonly changed: (governor: Governor, status: EndpointStatus, error: Error | undefined) => void;
  readonly probeDue: () => void;
}

/** See the file's head. */
export class Endpoints {
  readonly #all: readonly Governor[];

  constructor({ options, changed, probeDue }: EndpointsParts) {
    const { addresses, connectionsMax, clock, random, isPermanent } = options;
    this.#all = addresses.map((address) => {
      const governor: Governor = new Governor({
        address,
        connectsMax: connectionsMax,
        clock,
        random,
        isPermanent,
        changed: (status, error) => changed(governor, status, error),
        probeDue,
      });
      return governor;
    });
  }

  /** Where connections are made: the first that can be used. */
  get target(): Governor | undefined {
    return this.#all.find(({ isUsable }) => isUsable);
  }

  get isAllParked(): boolean {
    return this.#all.every(({ status }) => status === "parked");
  }

  /** Connects in flight. */
  get connecting(): number {
    return this.#all.reduce((sum, { connecting }) => sum + connecting, 0);
  }

  /** Connects in flight that are likely to succeed: a probe may come to nothing. */
  get promising(): number {
    return this.#all.reduce(
      (sum, { isUsable, connecting }) => sum + (isUsable ? connecting : 0),
      0,
    );
  }

  /** Usable endpoints first, each group in order of preference. */
  get preference(): readonly Governor[] {
    if (this.#all[0]?.isUsable === true) return this.#all;
    return this.#all.toSorted((a, b) => Number(b.isUsable) - Number(a.isUsable));
  }

  isPreferred(one: Governor, other: Governor): boolean {
    return this.#all.indexOf(one) < this.#all.indexOf(other);
  }

  /** Those to be probed when they are down: preferred to the one in use, or all when none can be used. */
  get probed(): readonly Governor[] {
    const { target } = this;
    return this.#all.filter(
      (governor) =>
        governor.status === "down" && (target === undefined || this.isPreferred(governor, target)),
    );
  }

  states(connections: (governor: Governor) => number): readonly EndpointState[] {
    return this.#all.map((governor) => governor.state(connections(governor)));
  }

  unpark(): void {
    for (const governor of this.#all) governor.unpark();
  }

  close(): void {
    for (const governor of this.#all) governor.close();
  }
}
