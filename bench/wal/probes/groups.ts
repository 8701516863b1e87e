import { realClock } from "../../../src/host/clock.ts";
import { groupBlocks } from "../blocks.ts";
import { openBenchLog, origin, releaseAll } from "../bench-log.ts";

/** Group commits of one size, the next one filling while one is written. */
export interface GroupOptions {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly groupBytes: number;
  readonly groups: number;
  /** Not measured: until every segment's file has been written once. */
  readonly warmupGroups: number;
}

export interface GroupNumbers {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** While a segment is changed the next group may join the one that waits. */
const groupsShareMin = 0.95;

/** Writes groups that are `groupBytes` on disk; throws when the log made other ones. */
export async function groups(options: GroupOptions): Promise<GroupNumbers> {
  const { directory, groupBytes, segmentBytes } = options;
  const { commits, log } = await openBenchLog({
    directory,
    segmentBytes,
    bytesMax: 16 * segmentBytes,
    witnessAfterMs: 0,
  });
  const blocks = groupBlocks(groupBytes);
  const appendGroup = async (): Promise<void> => {
    await Promise.all(blocks.map((block) => log.append(block, origin)));
    releaseAll(log);
  };
  const run = async (count: number): Promise<void> => {
    let flying: Promise<void> = Promise.resolve();
    for (let index = 0; index < count; index += 1) {
      const next = appendGroup();
      await flying;
      flying = next;
      // By the next turn the group that waited is on its way, and a new one does not join it.
      await realClock.yield();
    }
    await flying;
  };
  await run(options.warmupGroups);
  const before = commits.entryCount;
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  await run(options.groups);
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const entries = commits.entryCount - before;
  await log.close();
  if (entries < options.groups * groupsShareMin)
    throw new Error(`${options.groups} groups became ${entries} entries`);
  return { seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6 };
}
