/**
 * What happens to a log in a property: commands that fast-check draws and shrinks.
 */
import fc from "fast-check";
import type { DiskFault } from "../../../src/testing/disk.ts";

/** One block of an append: a record per size, in bytes. */
export interface PlannedBlock {
  readonly channel: string;
  readonly sizes: readonly number[];
}

/** How a life of the log ends. `close`: in order. `kill`: what was written stays. `power`: what was not synced may go. */
export type Ending = "close" | "kill" | "power";

/** How bytes at rest change. `lost-file`: a whole segment is gone. */
export type DamageKind = "bit-flip" | "zeroed-sector" | "lost-file";

export type Command =
  /** Blocks that are handed over in one go. */
  | { readonly kind: "append"; readonly blocks: readonly PlannedBlock[] }
  /** Time passes. */
  | { readonly kind: "idle"; readonly ms: number }
  /** This share of what is durable is needed no more. */
  | { readonly kind: "release"; readonly share: number }
  /** Everything is read while the log is open. */
  | { readonly kind: "read" }
  | { readonly kind: "reopen"; readonly ending: Ending }
  /** The log is opened while calls fail, dies by a power cut, and is opened again. */
  | { readonly kind: "troubled-open"; readonly faults: readonly DiskFault[] }
  /** Calls fail from now on, until the next opening. */
  | { readonly kind: "trouble"; readonly faults: readonly DiskFault[] }
  | { readonly kind: "damage"; readonly what: DamageKind }
  /** One of the next writes lands elsewhere. */
  | { readonly kind: "stray"; readonly nth: number }
  /** The disk has no room until the next opening or `room`. */
  | { readonly kind: "full" }
  | { readonly kind: "room" };

type Kind = Command["kind"];

/** Most of an entry; some records are longer than a block of the disk, few than several. */
const recordBytes: fc.Arbitrary<number> = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: 3_900, max: 4_300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 9_000, max: 20_000 }) },
);

const block: fc.Arbitrary<PlannedBlock> = fc.record({
  channel: fc.constantFrom("", "a", "b", "c"),
  sizes: fc.array(recordBytes, { minLength: 1, maxLength: 3 }),
});

/** Calls that fail once in a while; what a failed call left on the disk is drawn. */
export const callFault: fc.Arbitrary<DiskFault> = fc.oneof(
  fc.record({
    what: fc.constant("error" as const),
    code: fc.constantFrom("EIO", "ENOSPC"),
    effect: fc.constant("any" as const),
    kind: fc.constantFrom("write" as const, "sync" as const, "syncDirectory" as const),
    nth: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({
    what: fc.constant("error" as const),
    code: fc.constantFrom("EIO", "EMFILE"),
    kind: fc.constantFrom(
      "open" as const,
      "create" as const,
      "read" as const,
      "rename" as const,
      "remove" as const,
      "stat" as const,
      "list" as const,
      "close" as const,
    ),
    nth: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({ what: fc.constant("short-write" as const), nth: fc.integer({ min: 1, max: 12 }) }),
  fc.record({
    what: fc.constant("slow" as const),
    ms: fc.integer({ min: 1, max: 5_000 }),
    nth: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({ what: fc.constant("power-off" as const), nth: fc.integer({ min: 1, max: 40 }) }),
);

const faults = fc.array(callFault, { minLength: 1, maxLength: 3 });

const ARBITRARIES: { readonly [K in Kind]: fc.Arbitrary<Extract<Command, { kind: K }>> } = {
  append: fc.record({
    kind: fc.constant("append"),
    blocks: fc.array(block, { minLength: 1, maxLength: 4 }),
  }),
  idle: fc.record({ kind: fc.constant("idle"), ms: fc.integer({ min: 1, max: 3_000 }) }),
  release: fc.record({
    kind: fc.constant("release"),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  read: fc.record({ kind: fc.constant("read") }),
  reopen: fc.record({
    kind: fc.constant("reopen"),
    ending: fc.constantFrom("close", "kill", "power"),
  }),
  "troubled-open": fc.record({ kind: fc.constant("troubled-open"), faults }),
  trouble: fc.record({ kind: fc.constant("trouble"), faults }),
  damage: fc.record({
    kind: fc.constant("damage"),
    what: fc.constantFrom("bit-flip", "zeroed-sector", "lost-file"),
  }),
  stray: fc.record({ kind: fc.constant("stray"), nth: fc.integer({ min: 1, max: 6 }) }),
  full: fc.record({ kind: fc.constant("full") }),
  room: fc.record({ kind: fc.constant("room") }),
};

/** Lists of commands; the numbers say how often each comes, those that are left out never. */
export function commandsOf(
  weights: Readonly<Partial<Record<Kind, number>>>,
  maxLength = 30,
): fc.Arbitrary<readonly Command[]> {
  const choices = Object.entries(weights).map(([kind, weight]) => ({
    weight,
    arbitrary: ARBITRARIES[kind as Kind],
  }));
  return fc.array(fc.oneof(...choices), { minLength: 1, maxLength, size: "max" });
}
