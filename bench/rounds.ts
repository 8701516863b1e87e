/**
 * Runs a job: its variants in shuffled rounds, then medians and ratios.
 */
import type { Job, Measurement, Result, RunContext, Variant } from "./job.ts";
import { show } from "./results.ts";
import { median, shuffled } from "./statistics.ts";

/** All measurements of one variant, a list per round. */
type Samples = ReadonlyMap<Variant, (readonly Measurement[])[]>;

/** Rejects as soon as a run does: figures of a run that lost records are worth nothing. */
export async function runJob(
  job: Job,
  rounds: number,
  context: RunContext,
): Promise<readonly Result[]> {
  const samples: Samples = new Map(job.variants.map((variant) => [variant, []]));
  const times = Math.min(rounds, job.roundsMax ?? rounds);
  for (let round = 1; round <= times; round += 1)
    for (const variant of shuffled(job.variants, Math.random)) {
      const measured = await variant.run(context);
      samples.get(variant)?.push(measured);
      context.tell(`round ${round} of ${times}: ${variant.name}: ${measured.map(text).join(", ")}`);
    }
  return job.variants.flatMap((variant) => summarize(variant, samples));
}

function text({ metric, value, unit }: Measurement): string {
  return `${metric} ${show(value)} ${unit}`;
}

/** Medians of a variant, with ratios where its control has the same metric. */
export function summarize(variant: Variant, samples: Samples): readonly Result[] {
  const own = samples.get(variant) ?? [];
  return (own[0] ?? []).map(({ metric, unit }) => {
    const values = valuesOf(own, metric);
    const value = median(values);
    const result: Result = { name: variant.name, metric, value: rounded(value), unit };
    return { ...result, ...rangeOf(values), ...ratiosOf(value, metric, variant, samples) };
  });
}

function rangeOf(values: readonly number[]): Pick<Result, "range"> {
  return values.length < 2
    ? {}
    : { range: [rounded(Math.min(...values)), rounded(Math.max(...values))] };
}

/** One ratio, or one by name for each of several controls that have the metric. */
function ratiosOf(
  value: number,
  metric: string,
  { control }: Variant,
  samples: Samples,
): Pick<Result, "controlRatio" | "controlRatios"> {
  const ratioTo = (wanted: string): number | undefined => {
    const rounds = [...samples].find(([{ name }]) => name === wanted)?.[1] ?? [];
    const against = valuesOf(rounds, metric);
    return against.length === 0 ? undefined : rounded(value / median(against));
  };
  if (control === undefined) return {};
  if (typeof control === "string") {
    const ratio = ratioTo(control);
    return ratio === undefined ? {} : { controlRatio: ratio };
  }
  const ratios = control.flatMap((wanted): readonly (readonly [string, number])[] => {
    const ratio = ratioTo(wanted);
    return ratio === undefined ? [] : [[wanted.slice(wanted.indexOf("/") + 1), ratio]];
  });
  return ratios.length === 0 ? {} : { controlRatios: Object.fromEntries(ratios) };
}

function valuesOf(rounds: readonly (readonly Measurement[])[], metric: string): readonly number[] {
  return rounds.flatMap((measurements) =>
    measurements.filter((each) => each.metric === metric).map(({ value }) => value),
  );
}

/** Four significant digits: more would be noise in the file's history. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
