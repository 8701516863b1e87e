import { pause } from "../../../test/support/deadline.ts";
import { type Clock, realClock } from "../../../src/host/clock.ts";
import { realFiles } from "../../../src/host/real-files.ts";
import { openBenchLog, origin } from "../bench-log.ts";
import { linesBlock } from "../blocks.ts";
import { countingFiles, noCounts } from "../counting-files.ts";

/** How long nothing is appended. */
export interface IdleOptions {
  readonly directory: string;
  readonly idleMs: number;
}

export interface IdleNumbers {
  readonly writes: number;
  /** Behind the witness, which comes a second after the last commit. */
  readonly writesAfterWitness: number;
  readonly otherFileCalls: number;
  readonly timersFired: number;
  readonly timersAfterWitness: number;
  readonly cpuMs: number;
  /** Times that the process gave up the CPU by itself, all threads. */
  readonly wakeups: number;
}

const burstRecords = 100_000;
const recordsPerBlock = 100;
/** The default of `witnessAfterMs` is a second. */
const witnessMs = 1_500;
const settleMs = 20;

/** A burst, then nothing: what the log still does. */
export async function idle({ directory, idleMs }: IdleOptions): Promise<IdleNumbers> {
  const counts = noCounts();
  const { clock, fired } = countingClock();
  const files = countingFiles(realFiles, counts);
  const { log } = await openBenchLog({ directory, files, clock });
  const block = linesBlock(recordsPerBlock);
  for (let done = 0; done < burstRecords; done += recordsPerBlock) await log.append(block, origin);
  // Spares are made behind the acknowledgements: that is not idleness yet.
  for (let before = -1; before !== counts.plainWrites; await pause(settleMs))
    before = counts.plainWrites;
  const timersBefore = fired();
  Object.assign(counts, noCounts());
  const voluntary = process.resourceUsage().voluntaryContextSwitches;
  const cpu = process.cpuUsage();
  await pause(witnessMs);
  const withWitness = writesOf(counts);
  const timersWithWitness = fired();
  await pause(idleMs - witnessMs);
  const { system, user } = process.cpuUsage(cpu);
  const wakeups = process.resourceUsage().voluntaryContextSwitches - voluntary;
  const numbers: IdleNumbers = {
    writes: writesOf(counts),
    writesAfterWitness: writesOf(counts) - withWitness,
    otherFileCalls: counts.others + counts.syncs,
    timersFired: fired() - timersBefore,
    timersAfterWitness: fired() - timersWithWitness,
    cpuMs: (user + system) / 1000,
    wakeups,
  };
  await log.close();
  return numbers;
}

function writesOf({ durableWrites, plainWrites }: ReturnType<typeof noCounts>): number {
  return durableWrites + plainWrites;
}

/** The machine's clock with a count of the timers that fired. */
function countingClock(): { readonly clock: Clock; readonly fired: () => number } {
  let count = 0;
  const clock: Clock = {
    ...realClock,
    after: (ms, callback) =>
      realClock.after(ms, () => {
        count += 1;
        callback();
      }),
  };
  return { clock, fired: () => count };
}
