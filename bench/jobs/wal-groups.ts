import type { Job, Measurement, RunContext, Variant } from "../job.ts";
import { scaled } from "../job.ts";
import { runBareWrites, runProbe, withDirectory } from "../wal/run-probe.ts";

const bytesPerMib = 1024 * 1024;
/** Of the largest groups a default segment of 16 MiB holds one, and would be changed at each of them. */
const segmentBytes: number = 64 * bytesPerMib;
const bytesPerRun: number = 1024 * bytesPerMib;
/** Every file of a run is written this often before it counts. */
const warmupSegments = 4;

/** In one run: bytes of a group, and of how many. */
interface Groups {
  readonly groupBytes: number;
  readonly count: number;
}

function rate({ count, groupBytes }: Groups, seconds: number): Measurement {
  return { metric: "written", value: (count * groupBytes) / 1e6 / seconds, unit: "MB/s" };
}

function ownRun({ count, groupBytes }: Groups): Promise<readonly Measurement[]> {
  return withDirectory(async (directory) => {
    const warmupGroups = (warmupSegments * segmentBytes) / groupBytes;
    const { cpuSeconds, seconds } = await runProbe("groups", {
      directory,
      segmentBytes,
      groupBytes,
      groups: count,
      warmupGroups,
    });
    const gigabytes = (count * groupBytes) / 1e9;
    return [
      rate({ count, groupBytes }, seconds),
      { metric: "CPU per GB", value: cpuSeconds / gigabytes, unit: "s" },
    ];
  });
}

async function bareRun({ count, groupBytes }: Groups): Promise<readonly Measurement[]> {
  const { seconds } = await runBareWrites({
    segmentBytes,
    writeBytes: groupBytes,
    count,
    flush: "dsync",
  });
  return [rate({ count, groupBytes }, seconds)];
}

const variants = [1, 8].flatMap((size): readonly Variant[] => {
  const control = `wal-groups/C O_DSYNC loop, ${size} MiB`;
  const groupBytes = size * bytesPerMib;
  const groupsOf = (context: RunContext): Groups => ({
    groupBytes,
    count: scaled(context, bytesPerRun / groupBytes),
  });
  return [
    { name: `wal-groups/${size} MiB`, control, run: (context) => ownRun(groupsOf(context)) },
    { name: control, run: (context) => bareRun(groupsOf(context)) },
  ];
});

/** Group commits as fast as the disk takes them, against the same bytes written from C. */
export const walGroups: Job = {
  name: "wal-groups",
  title:
    "group commits of the log, segments of 64 MiB that are recycled; 8 MiB is the largest group",
  variants,
};
