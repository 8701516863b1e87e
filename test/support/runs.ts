/**
 * How many runs a property gets: few in every test run, many by `npm run test:properties`.
 */

/** Runs of each property when nothing else is said. */
const RUNS_DEFAULT = 300;

/** What `npm test -- --runs=N` asked for, and the cause of a failure in its message. */
export const manyRuns: { readonly numRuns: number; readonly includeErrorInReport: true } = {
  numRuns: Number(process.env["HOLDFAST_RUNS"] ?? RUNS_DEFAULT),
  includeErrorInReport: true,
};
