import type { Job, Variant } from "../job.ts";
import { runProbe, withDirectory } from "../wal/run-probe.ts";

const recordsPerSecond = 1_000;
const secondsPerRun = 5;
const secondsQuick = 2;

const variants = [0, 20, 50, 200].map(
  (minCommitIntervalMs): Variant => ({
    name: `wal-card/interval of ${minCommitIntervalMs} ms`,
    run: ({ quick }) =>
      withDirectory(async (directory) => {
        const seconds = quick ? secondsQuick : secondsPerRun;
        const options = { directory, minCommitIntervalMs, recordsPerSecond, seconds };
        const numbers = await runProbe("card", options);
        return [
          { metric: "flushes per second", value: numbers.flushesPerSecond, unit: "" },
          { metric: "written per second", value: numbers.bytesPerSecond / 1000, unit: "kB" },
          { metric: "written per byte of records", value: numbers.amplification, unit: "bytes" },
          { metric: "acknowledgement p50", value: numbers.p50Ms, unit: "ms" },
          { metric: "acknowledgement p99", value: numbers.p99Ms, unit: "ms" },
        ];
      }),
  }),
);

/** What `minCommitIntervalMs` spares a flash card, and what it costs the senders. */
export const walCard: Job = {
  name: "wal-card",
  title: "1,000 records of 100 bytes a second, one by one, with a least time between two commits",
  roundsMax: 3,
  variants,
};
