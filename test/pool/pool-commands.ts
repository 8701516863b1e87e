import fc from "fast-check";
import type { Behaviour } from "../support/scripted-peer.ts";

/** What befalls one of the callers. */
export type CallerFate = "release" | "cancel" | "poison" | "pending" | "answer" | "forget";
/** What befalls one of the open connections. */
export type ConnectionFate = "crash" | "half-open" | "sick";

/** One step of a play. */
export type Command =
  | { readonly kind: "acquire"; readonly canGiveUp: boolean }
  | { readonly kind: "use"; readonly behaviour: "answer" | "throw" | "hang" }
  | { readonly kind: "caller"; readonly fate: CallerFate; readonly pick: number }
  | { readonly kind: "connection"; readonly fate: ConnectionFate; readonly pick: number }
  | { readonly kind: "set"; readonly address: string; readonly behaviour: Behaviour }
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "suspend" | "resume" };

/** The pool of a play. */
export interface Setting {
  readonly connectionsMax: number;
  readonly connectionsMin: number;
  readonly addresses: readonly string[];
  readonly canCheck: boolean;
  readonly closeDeadlineMs: number;
}

const behaviours: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.constantFrom<Behaviour>(
    { kind: "accept" },
    { kind: "refuse" },
    { kind: "black-hole" },
    { kind: "forbid" },
  ),
  fc.record({ kind: fc.constant("slow" as const), ms: fc.constantFrom(20, 100, 390) }),
  fc.record({ kind: fc.constant("late" as const), ms: fc.constantFrom(410, 900, 3_000) }),
  fc.record({ kind: fc.constant("kick" as const), ms: fc.constantFrom(0, 10, 300) }),
);

/** Any step. */
export const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("acquire" as const), canGiveUp: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("use" as const),
      behaviour: fc.constantFrom("answer" as const, "throw" as const, "hang" as const),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constant("caller" as const),
      fate: fc.constantFrom<CallerFate>(
        "release",
        "release",
        "release",
        "cancel",
        "poison",
        "pending",
        "answer",
        "forget",
      ),
      pick: fc.nat(7),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("connection" as const),
      fate: fc.constantFrom<ConnectionFate>("crash", "half-open", "sick"),
      pick: fc.nat(7),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("set" as const),
      address: fc.constantFrom("a", "a", "b"),
      behaviour: behaviours,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.constantFrom(1, 20, 60, 150, 300, 700, 1_500, 5_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("suspend" as const, "resume" as const) }),
  },
);

/** Small pools of one or two endpoints. */
export const settings: fc.Arbitrary<Setting> = fc
  .record({
    connectionsMin: fc.nat(2),
    more: fc.integer({ min: 1, max: 3 }),
    isDouble: fc.boolean(),
    canCheck: fc.boolean(),
    closeDeadlineMs: fc.constantFrom(0, 300, 2_000),
  })
  .map(({ connectionsMin, more, isDouble, canCheck, closeDeadlineMs }) => ({
    connectionsMin,
    connectionsMax: Math.max(connectionsMin + more, isDouble ? 2 : 1),
    addresses: isDouble ? ["a", "b"] : ["a"],
    canCheck,
    closeDeadlineMs,
  }));
