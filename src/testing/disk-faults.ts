/**
 * Which calls of the simulated disk go wrong or wait.
 */
import type { SeededRandom } from "./seeded-random.ts";

/** The calls of `Files` and `FileHandle`. */
export type CallKind =
  | "open"
  | "create"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "size"
  | "close"
  | "makeDirectory"
  | "list"
  | "rename"
  | "remove"
  | "syncDirectory"
  | "readFile"
  | "stat"
  | "fileSystem";

/** Which calls a fault or hold is about. */
export interface CallMatch {
  /** @defaultValue what the fault can strike; for a hold all */
  readonly kind?: CallKind | readonly CallKind[];
  /** Part of the path. @defaultValue every path */
  readonly path?: string;
}

/**
 * How a failing call leaves the disk. `none`: nothing happened. `cache`: programs see the effect, the
 * platter never will (a failed sync marks pages clean). `disk`: it happened, and the answer is wrong.
 */
export type FaultEffect = "none" | "cache" | "disk";

/** What goes wrong. */
export type FaultAction =
  /** The call fails with this code: EIO, ENOSPC, EMFILE, EACCES ... `effect` "any": drawn each time. @defaultValue "none" */
  | { readonly what: "error"; readonly code: string; readonly effect?: FaultEffect | "any" }
  /** A write takes only so many bytes and says so. @defaultValue a number of bytes that is drawn */
  | { readonly what: "short-write"; readonly bytes?: number }
  /** The power goes: the call is in flight, all later ones fail with {@link POWER_OFF}. */
  | { readonly what: "power-off" }
  /** A sync or a durable write says that it is done, and nothing is durable. */
  | { readonly what: "lying-sync" }
  /** A write lands at another sector of its file and says that it is done. */
  | { readonly what: "misdirected-write" }
  /** The disk is full for the next so many calls that need space. */
  | { readonly what: "no-space"; readonly calls: number }
  /** The call settles so much later, on the disk's clock. */
  | { readonly what: "slow"; readonly ms: number }
  /** The call never settles, or not before the power goes. */
  | { readonly what: "stuck" }
  /** One bit of some file changes at rest. */
  | { readonly what: "bit-flip" }
  /** A sector of some file is all zeros from now on. */
  | { readonly what: "zeroed-sector" };

/** When it strikes: at the n-th matching call from now, once, or with a probability at each. */
export interface FaultSchedule {
  /** 1 for the next matching call. */
  readonly nth?: number;
  /** Probability per matching call, 0 .. 1. */
  readonly rate?: number;
  /** With a rate: strikes at most so often. @defaultValue Infinity */
  readonly limit?: number;
}

/** A fault: what, where and when. */
export type DiskFault = FaultAction & CallMatch & FaultSchedule;

/** What each fault strikes when it does not say. */
const KINDS: Readonly<Record<FaultAction["what"], readonly CallKind[] | undefined>> = {
  error: undefined,
  "short-write": ["write"],
  "power-off": undefined,
  "lying-sync": ["sync", "write"],
  "misdirected-write": ["write"],
  "no-space": ["write"],
  slow: undefined,
  stuck: undefined,
  "bit-flip": undefined,
  "zeroed-sector": undefined,
};

/** Calls that are kept from settling. */
export interface Hold {
  readonly waiting: number;
  /** Lets the oldest waiting call settle. */
  next(): void;
  /** Lets all settle and holds no more. */
  release(): void;
}

interface HeldCalls {
  readonly match: CallMatch;
  waiting: (() => void)[];
}

function matches(match: CallMatch, kind: CallKind, path: string): boolean {
  const kinds = match.kind === undefined ? undefined : [match.kind].flat();
  return (kinds?.includes(kind) ?? true) && path.includes(match.path ?? "");
}

interface PlannedFault {
  readonly fault: DiskFault;
  readonly match: CallMatch;
  /** Matching calls until it strikes. */
  callsLeft: number;
  /** How often it may still strike. */
  strikesLeft: number;
}

/** Faults that are set and calls that are held back. */
export class DiskFaults {
  readonly #random: SeededRandom;
  #planned: PlannedFault[] = [];
  readonly #holds = new Set<HeldCalls>();
  readonly #stuck: (() => void)[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  add(fault: DiskFault): void {
    const kind = fault.kind ?? KINDS[fault.what];
    this.#planned.push({
      fault,
      match: { ...(kind && { kind }), ...(fault.path !== undefined && { path: fault.path }) },
      callsLeft: fault.nth ?? 0,
      strikesLeft: fault.nth === undefined ? (fault.limit ?? Infinity) : 1,
    });
  }

  /** The fault that this call runs into, if any. */
  strike(kind: CallKind, path: string): DiskFault | undefined {
    let struck: PlannedFault | undefined;
    for (const planned of this.#planned)
      if (matches(planned.match, kind, path) && this.#isDue(planned)) struck ??= planned;
    if (struck === undefined) return undefined;
    struck.strikesLeft -= 1;
    this.#planned = this.#planned.filter((planned) => planned.strikesLeft > 0);
    return struck.fault;
  }

  /** Counts the call, or draws: also when another fault strikes it, so that faults do not shift each other. */
  #isDue(planned: PlannedFault): boolean {
    if (planned.fault.nth === undefined) return this.#random.chance(planned.fault.rate ?? 0);
    planned.callsLeft -= 1;
    return planned.callsLeft === 0;
  }

  hold(match: CallMatch): Hold {
    const held: HeldCalls = { match, waiting: [] };
    this.#holds.add(held);
    return {
      get waiting() {
        return held.waiting.length;
      },
      next: () => held.waiting.shift()?.(),
      release: () => {
        this.#holds.delete(held);
        for (const settle of held.waiting.splice(0)) settle();
      },
    };
  }

  /** Settles a microtask later, or when the call is let go. */
  settling(kind: CallKind, path: string): Promise<void> {
    const held = [...this.#holds].find(({ match }) => matches(match, kind, path));
    if (held === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      held.waiting.push(resolve);
    });
  }

  /** Settles when all are let go: when the power goes. */
  stuck(): Promise<void> {
    return new Promise((resolve) => {
      this.#stuck.push(resolve);
    });
  }

  /** Lets all held and stuck calls settle. */
  letGo(): void {
    for (const settle of this.#stuck.splice(0)) settle();
    for (const held of this.#holds) for (const settle of held.waiting.splice(0)) settle();
  }

  /** Faults that are set strike no more; held calls stay. */
  calm(): void {
    this.#planned = [];
  }

  clear(): void {
    this.calm();
    this.#holds.clear();
  }
}
