/**
 * How a call of the simulated disk runs: counted, struck by faults, held back, cut off when the power goes.
 */
import type { Clock } from "../host/clock.ts";
import { type CallKind, type DiskFault, DiskFaults } from "./disk-faults.ts";
import { fileError } from "./disk-tree.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** The code of every call after the power went. */
export const POWER_OFF = "EPOWEROFF";

/** Strikes that are remembered for a failed test's message. */
const STRIKES_MAX = 200;

/** What a call does. */
export interface DiskEffect<T> {
  readonly kind: CallKind;
  readonly path: string;
  /** Changes the cache, or throws; a fault that is about the bytes of a write is given to it. */
  readonly begin: (fault?: DiskFault) => T;
  /** Makes it durable, for calls that do. */
  readonly finish?: (value: T) => void;
  /** The call failed behind the cache: what was to become durable never will. */
  readonly lose?: () => void;
}

/** What the engine works with. */
export interface DiskCallsParts {
  readonly random: SeededRandom;
  readonly clock: Pick<Clock, "after"> | undefined;
  /** A fault that damages bytes at rest struck. */
  readonly damage: (what: "bit-flip" | "zeroed-sector", path: string | undefined) => void;
}

/** The calls of one disk. */
export class DiskCalls {
  readonly faults: DiskFaults;
  readonly #parts: DiskCallsParts;
  readonly #strikes: string[] = [];
  #counts = new Map<CallKind, number>();
  #made = 0;
  #isOn = true;
  #life = 1;

  constructor(parts: DiskCallsParts) {
    this.#parts = parts;
    this.faults = new DiskFaults(parts.random);
  }

  /** Number of this power-on: handles of an older one are dead. */
  get life(): number {
    return this.#life;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** The newest strikes, a line each. */
  get strikes(): readonly string[] {
    return this.#strikes;
  }

  /** Calls since the power came. */
  count(kind?: CallKind): number {
    if (kind !== undefined) return this.#counts.get(kind) ?? 0;
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  powerOff(): void {
    this.#isOn = false;
    this.faults.letGo();
  }

  /** Power again: no faults, no holds, no open files. */
  powerOn(): void {
    this.#life += 1;
    this.faults.clear();
    this.#counts = new Map();
    this.#isOn = true;
  }

  /** Runs a call. Rejects with Node's codes, and with {@link POWER_OFF}. */
  async run<T>(effect: DiskEffect<T>): Promise<T> {
    if (!this.#isOn) throw fileError(POWER_OFF, effect.path);
    const life = this.#life;
    const fault = this.#strike(effect);
    if (fault?.what === "error") return await this.#fail(effect, fault);
    const value =
      fault?.what === "power-off" ? this.#lastly(() => effect.begin()) : effect.begin(fault);
    await this.#settle(effect, life, fault);
    if (fault?.what !== "lying-sync") effect.finish?.(value);
    return value;
  }

  /** Counts the call and says what strikes it; damage at rest is done with that. */
  #strike({ kind, path }: Pick<DiskEffect<never>, "kind" | "path">): DiskFault | undefined {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    this.#made += 1;
    const fault = this.faults.strike(kind, path);
    if (fault === undefined) return undefined;
    this.#note(fault, kind, path);
    if (fault.what === "bit-flip" || fault.what === "zeroed-sector")
      this.#parts.damage(fault.what, fault.path);
    return fault;
  }

  #note(fault: DiskFault, kind: CallKind, path: string): void {
    const { kind: _, path: __, ...what } = fault;
    this.#strikes.push(`call ${this.#made}: ${kind} ${path}: ${JSON.stringify(what)}`);
    if (this.#strikes.length > STRIKES_MAX) this.#strikes.shift();
  }

  /** Resolves when the call may settle; rejects when the power went meanwhile. */
  async #settle(
    effect: Pick<DiskEffect<never>, "kind" | "path">,
    life: number,
    fault?: DiskFault,
  ): Promise<void> {
    if (fault?.what === "stuck") await this.faults.stuck();
    if (fault?.what === "slow") await this.#delay(fault.ms);
    await this.faults.settling(effect.kind, effect.path);
    if (!this.#isOn || life !== this.#life) throw fileError(POWER_OFF, effect.path);
  }

  async #delay(ms: number): Promise<void> {
    const { clock } = this.#parts;
    if (clock !== undefined) await new Promise<void>((resolve) => clock.after(ms, resolve));
  }

  /** The last call before the power goes, whether it finds what it wants or not. */
  #lastly<T>(begin: () => T): T {
    try {
      return begin();
    } finally {
      this.powerOff();
    }
  }

  async #fail<T>(
    effect: DiskEffect<T>,
    fault: Extract<DiskFault, { readonly what: "error" }>,
  ): Promise<never> {
    const life = this.#life;
    const how =
      fault.effect === "any"
        ? this.#parts.random.pick(["none", "cache", "disk"] as const)
        : (fault.effect ?? "none");
    const value = how === "none" ? undefined : { done: effect.begin() };
    await this.#settle(effect, life);
    if (how === "disk" && value !== undefined) effect.finish?.(value.done);
    else effect.lose?.();
    throw fileError(fault.code, effect.path);
  }
}
