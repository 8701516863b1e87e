/**
 * The verdict: what the promise says about ids that were sent once, applied to what the sinks hold.
 */

/** How often each id stands in a sink. */
export type IdCounts = ReadonlyMap<string, number>;

/** A run's end, as data. */
export interface Evidence {
  readonly sent: ReadonlySet<string>;
  readonly acknowledged: ReadonlySet<string>;
  readonly sinks: Readonly<Record<string, IdCounts>>;
}

/** Counts per sink and what is wrong; nothing is when `problems` is empty. */
export interface Verdict {
  readonly problems: readonly string[];
  /** Records that are stored although no acknowledgement arrived: allowed, at most once each. */
  readonly unacknowledgedStored: number;
}

/** Ids named per kind of problem. */
const examplesMax = 5;

/** Acknowledged ids exactly once in each sink, other sent ids at most once, no unknown ids, the same set in all. */
export function judge(evidence: Evidence): Verdict {
  const problems: string[] = [];
  const report = (kind: string, ids: readonly string[]): void => {
    if (ids.length > 0)
      problems.push(`${ids.length} ${kind}: ${ids.slice(0, examplesMax).join(", ")}`);
  };
  const sinks = Object.entries(evidence.sinks);
  for (const [sink, counts] of sinks) {
    const ids = [...counts.keys()];
    report(
      `acknowledged and not in ${sink}`,
      [...evidence.acknowledged].filter((id) => !counts.has(id)),
    );
    report(
      `more than once in ${sink}`,
      ids.filter((id) => (counts.get(id) ?? 0) > 1),
    );
    report(
      `in ${sink} and never sent`,
      ids.filter((id) => !evidence.sent.has(id)),
    );
    for (const [other, others] of sinks)
      report(
        `in ${sink} and not in ${other}`,
        ids.filter((id) => !others.has(id)),
      );
  }
  const first = sinks[0]?.[1] ?? new Map<string, number>();
  const unacknowledged = [...first.keys()].filter((id) => !evidence.acknowledged.has(id));
  return { problems, unacknowledgedStored: unacknowledged.length };
}
