/**
 * What a bench is made of: jobs, their variants, and the numbers that come out.
 */

/** A number with its name and unit. */
export interface Measurement {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
}

/** A measurement of a variant over all rounds: an element of `results.json`. */
export interface Result extends Measurement {
  readonly name: string;
  /** This value divided by the same metric of the control in the same rounds. */
  readonly controlRatio?: number;
  /** The same where there are several controls: by their names, without the job's. */
  readonly controlRatios?: Readonly<Record<string, number>>;
  /** Least and most of its rounds, where there were several. */
  readonly range?: readonly [least: number, most: number];
  /** When and how it was measured. */
  readonly run?: RunNote;
}

/** What stands beside the results of a job. */
export interface RunNote {
  /** Year-month-day. */
  readonly date: string;
  readonly rounds: number;
  /** Of the whole machine, over the minute before the job began and over the one before it ended. */
  readonly loadAverages: readonly [before: number, after: number];
}

/** How a run is done. */
export interface RunContext {
  /** A tenth of the load and of the waiting: shows that a job works, and is never written to the results. */
  readonly quick: boolean;
  /** Says what goes on, on a line of its own. */
  tell(line: string): void;
}

/** One thing that is measured, once per round. */
export interface Variant {
  /** Its name in the results: `job/what`. */
  readonly name: string;
  /** The variant of the same job that it is compared with, or several of them. */
  readonly control?: string | readonly string[];
  /** Starts everything, measures, checks that nothing was lost or repeated, and leaves nothing behind. */
  run(context: RunContext): Promise<readonly Measurement[]>;
}

/** Variants that share their rounds. */
export interface Job {
  readonly name: string;
  /** What it measures, in a line. */
  readonly title: string;
  /** What the ratios of its table are to. @defaultValue C */
  readonly ratioTo?: string;
  /** Fewer rounds than asked for, where one takes minutes. */
  readonly roundsMax?: number;
  readonly variants: readonly Variant[];
}

/** A count that is a tenth of itself in a quick run. */
export function scaled(context: RunContext, count: number): number {
  return context.quick ? Math.ceil(count / 10) : count;
}
