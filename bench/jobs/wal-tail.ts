import type { Job, Variant } from "../job.ts";
import { scaled } from "../job.ts";
import { runProbe, withDirectory } from "../wal/run-probe.ts";

const bytes = 512e6;
const passes = 4;
const groupBytes: number = 256 * 1024;

const control = "wal-tail/read loop";

const variants = (["1 MiB at a time", "in one go", "read loop"] as const).map(
  (reader): Variant => ({
    name: `wal-tail/${reader}`,
    ...(reader === "read loop" ? {} : { control }),
    run: (context) =>
      withDirectory(async (directory) => {
        const { bytesPerSecond } = await runProbe("tail", {
          directory,
          reader,
          bytes: scaled(context, bytes),
          groupBytes,
          passes,
        });
        return [{ metric: "read", value: bytesPerSecond / 1e9, unit: "GB/s" }];
      }),
  }),
);

/** How fast a reader follows or catches up, checksums included. */
export const walTail: Job = {
  name: "wal-tail",
  title: "reading entries of 256 KiB from the page cache, against reads of the same files",
  ratioTo: "read loop",
  variants,
};
