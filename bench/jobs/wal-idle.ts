import type { Job, Measurement, RunContext } from "../job.ts";
import { runProbe, withDirectory } from "../wal/run-probe.ts";

const idleMs = 10_000;
const idleMsQuick = 3_000;

function run({ quick }: RunContext): Promise<readonly Measurement[]> {
  return withDirectory(async (directory) => {
    const numbers = await runProbe("idle", { directory, idleMs: quick ? idleMsQuick : idleMs });
    return [
      { metric: "writes in 10 s", value: numbers.writes, unit: "" },
      { metric: "writes after the witness", value: numbers.writesAfterWitness, unit: "" },
      { metric: "other file calls", value: numbers.otherFileCalls, unit: "" },
      { metric: "timers that fired", value: numbers.timersFired, unit: "" },
      { metric: "timers after the witness", value: numbers.timersAfterWitness, unit: "" },
      { metric: "CPU", value: numbers.cpuMs, unit: "ms" },
      { metric: "wakeups of all threads", value: numbers.wakeups, unit: "" },
    ];
  });
}

/** A log that has nothing to do. */
export const walIdle: Job = {
  name: "wal-idle",
  title:
    "what the log does in the 10 s after a burst; CPU and wakeups are of the whole process, the bench included",
  roundsMax: 3,
  variants: [{ name: "wal-idle/after a burst", run }],
};
