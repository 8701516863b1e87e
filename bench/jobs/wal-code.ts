import type { Job, Measurement, RunContext } from "../job.ts";
import { scaled } from "../job.ts";
import type { CodeOptions } from "../wal/probes/code.ts";
import { runProbe } from "../wal/run-probe.ts";

const singles = 5_000_000;
const inBlocks = 50_000_000;

async function run(
  context: RunContext,
  source: CodeOptions["source"],
  count: number,
): Promise<readonly Measurement[]> {
  const { cpuNsPerRecord } = await runProbe("code", { source, records: scaled(context, count) });
  return [{ metric: "CPU per record", value: cpuNsPerRecord, unit: "ns" }];
}

/** What our own code costs, checksums and garbage collection included. */
export const walCode: Job = {
  name: "wal-code",
  title: "CPU of the log's own code per 100-byte record, with files that do nothing",
  variants: [
    {
      name: "wal-code/append of single records",
      run: (context) => run(context, "single records", singles),
    },
    { name: "wal-code/blocks from framing", run: (context) => run(context, "blocks", inBlocks) },
    {
      name: "wal-code/chunks of 64 KiB, framing included",
      run: (context) => run(context, "chunks", inBlocks),
    },
  ],
};
