/**
 * Senders and the engine, in any order: what a property of a receiver plays.
 */
import fc from "fast-check";
import type { ReceiverHarness } from "./receiver-harness.ts";

/** One thing that happens. */
export interface Step {
  readonly kind: "send" | "commit" | "pause" | "resume" | "wait";
  /** Of `send`. */
  readonly sender: number;
  readonly count: number;
}

/** Up to `stepsMax` steps of so many senders. */
export function interleavings(
  senderCount: number,
  stepsMax: number,
): fc.Arbitrary<readonly Step[]> {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constant("send" as const),
      sender: fc.nat(senderCount - 1),
      count: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({
      kind: fc.constantFrom("commit", "pause", "resume", "wait"),
      sender: fc.constant(0),
      count: fc.constant(0),
    }),
  );
  return fc.array(step, { maxLength: stepsMax });
}

/** What each sender has sent: `sender:index`. */
export class SentTexts {
  readonly of: readonly string[][];

  constructor(senderCount: number) {
    this.of = Array.from({ length: senderCount }, () => []);
  }

  /** The next ones, noted as sent. */
  next({ sender, count }: Step): readonly string[] {
    const sent = this.of[sender] ?? [];
    const texts = Array.from({ length: count }, (_, i) => `${sender}:${sent.length + i}`);
    sent.push(...texts);
    return texts;
  }

  /** Those of a sender, in the order of the disk. */
  static stored(engine: ReceiverHarness, sender: number): readonly string[] {
    return engine.durable.filter((text) => text.startsWith(`${sender}:`));
  }
}

/** Plays a step; `send` and `wait` are the receiver's own. */
export async function play(
  step: Step,
  engine: ReceiverHarness,
  own: { readonly send: (step: Step) => void; readonly wait: () => Promise<void> },
): Promise<void> {
  if (step.kind === "send") own.send(step);
  else if (step.kind === "commit") await engine.commit(1);
  else if (step.kind === "wait") await own.wait();
  else engine[step.kind]();
}
