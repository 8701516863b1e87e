/**
 * Which calls of the in-memory disk go wrong or wait.
 */

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

/** Which calls a fault or hold is about; absent fields match all. */
export interface CallMatch {
  readonly kind?: CallKind | readonly CallKind[];
  /** Part of the path. */
  readonly path?: string;
}

/** The n-th matching call from now on, 1 for the next. */
export interface NthCall extends CallMatch {
  readonly nth: number;
}

/**
 * How a failing call leaves the disk. `none`: nothing happened. `cache`: programs see the effect, the
 * platter never will (a failed sync marks pages clean). `disk`: it happened, and the answer is wrong.
 */
export type FaultEffect = "none" | "cache" | "disk";

export type Fault =
  | (NthCall & { readonly what: "error"; readonly code: string; readonly effect: FaultEffect })
  | (NthCall & { readonly what: "power-off" })
  | (NthCall & { readonly what: "short"; readonly bytes: number });

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

/** Faults that are set and calls that are held back. */
export class MemoryFaults {
  #faults: { readonly fault: Fault; left: number }[] = [];
  readonly #holds = new Set<HeldCalls>();

  add(fault: Fault): void {
    this.#faults.push({ fault, left: fault.nth });
  }

  /** The fault that this call runs into, if any; each strikes once. */
  strike(kind: CallKind, path: string): Fault | undefined {
    for (const entry of this.#faults) if (matches(entry.fault, kind, path)) entry.left -= 1;
    const struck = this.#faults.find((entry) => entry.left === 0)?.fault;
    this.#faults = this.#faults.filter((entry) => entry.left > 0);
    return struck;
  }

  hold(match: CallMatch): Hold {
    const held: HeldCalls = { match, waiting: [] };
    this.#holds.add(held);
    return {
      get waiting(): number {
        return held.waiting.length;
      },
      next: () => held.waiting.shift()?.(),
      release: () => {
        this.#holds.delete(held);
        for (const settle of held.waiting.splice(0)) settle();
      },
    };
  }

  /** Resolves when the call may settle. */
  settling(kind: CallKind, path: string): Promise<void> {
    const held = [...this.#holds].find((candidate) => matches(candidate.match, kind, path));
    if (held === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      held.waiting.push(resolve);
    });
  }

  /** Lets all held calls settle. */
  letGo(): void {
    for (const held of this.#holds) for (const settle of held.waiting.splice(0)) settle();
  }

  clear(): void {
    this.#faults = [];
    this.#holds.clear();
  }
}
