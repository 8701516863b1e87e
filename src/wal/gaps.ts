/**
 * Ranges that are lost: kept as facts, told once, and never below the floor.
 */
import type { GapReason, LogFacts, LogGap, OffsetSpan } from "../contract/log.ts";

/** The known gaps of a log. */
export class GapList {
  readonly #facts: LogFacts;
  readonly #told: (gap: LogGap) => void;
  #gaps: readonly LogGap[];
  #recordCount = 0;

  constructor(facts: LogFacts, told: (gap: LogGap) => void) {
    this.#facts = facts;
    this.#told = told;
    this.#gaps = facts.gaps;
  }

  /** Records lost since the opening, those found at opening included. */
  get recordCount(): number {
    return this.#recordCount;
  }

  /**
   * The parts of a gap that are news become facts, durable when it resolves, and are told. True
   * when there were any.
   */
  async add(gap: LogGap): Promise<boolean> {
    const parts = uncovered(this.#gaps, gap);
    for (const part of parts) {
      // Known at once: another reader that meets the same damage meanwhile does not tell it again.
      this.#note({ ...part, reason: gap.reason });
      await this.#facts.addGap({ ...part, reason: gap.reason });
    }
    return parts.length > 0;
  }

  /** A gap that is a fact already. */
  noteKnown(gap: LogGap): void {
    this.#note(gap);
  }

  #note(gap: LogGap): void {
    this.#gaps = [...this.#gaps, gap];
    this.#recordCount += gap.to - gap.from;
    this.#told(gap);
  }

  /** Why the record at `offset` is gone, if it is known. */
  reasonAt(offset: number): GapReason | undefined {
    return this.#gaps.find((gap) => gap.from <= offset && offset < gap.to)?.reason;
  }

  /** Forgets gaps that end at or below the floor. */
  forgetBelow(offset: number): void {
    this.#gaps = this.#gaps.filter((gap) => gap.to > offset);
  }
}

/** The parts of a span that no gap covers, in order. */
export function uncovered(gaps: readonly OffsetSpan[], span: OffsetSpan): OffsetSpan[] {
  const parts: OffsetSpan[] = [];
  let from = span.from;
  for (const gap of gaps.toSorted((left, right) => left.from - right.from)) {
    if (gap.to <= from || gap.from >= span.to) continue;
    if (gap.from > from) parts.push({ from, to: gap.from });
    from = gap.to;
  }
  if (from < span.to) parts.push({ from, to: span.to });
  return parts;
}
