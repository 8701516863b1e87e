import type { Job, Measurement, RunContext, Variant } from "../job.ts";
import { scaled } from "../job.ts";
import type { LatencyOptions } from "../wal/probes/latency.ts";
import { runBareWrites, runProbe, withDirectory } from "../wal/run-probe.ts";

const blockBytes = 4096;
const segmentBytes: number = 16 * 1024 * 1024;
const oneByOne = 3_000;
const manyProducers = 1_000;
const recordsOfMany = 500_000;

function waits(p50Us: number, p99Us: number): readonly Measurement[] {
  return [
    { metric: "acknowledgement p50", value: p50Us / 1000, unit: "ms" },
    { metric: "acknowledgement p99", value: p99Us / 1000, unit: "ms" },
  ];
}

function run(
  context: RunContext,
  writer: LatencyOptions["writer"],
  producers = 1,
): Promise<readonly Measurement[]> {
  return withDirectory(async (directory) => {
    const records = scaled(context, producers === 1 ? oneByOne : recordsOfMany);
    const numbers = await runProbe("latency", { directory, writer, producers, records });
    return [
      ...waits(numbers.p50Us, numbers.p99Us),
      { metric: "records per second", value: numbers.recordsPerSecond, unit: "records/s" },
    ];
  });
}

async function runC(
  context: RunContext,
  flush: "dsync" | "fdatasync",
): Promise<readonly Measurement[]> {
  const count = scaled(context, oneByOne);
  const bare = await runBareWrites({ segmentBytes, writeBytes: blockBytes, count, flush });
  return [
    ...waits(bare.p50Us, bare.p99Us),
    { metric: "records per second", value: count / bare.seconds, unit: "records/s" },
  ];
}

const one = "wal-latency/one producer";
const bareNode = (["Node O_DSYNC", "Node fdatasync", "Node blocking O_DSYNC"] as const).map(
  (writer): Variant => ({
    name: `wal-latency/${writer}`,
    run: (context) => run(context, writer),
  }),
);
const bareC: readonly Variant[] = [
  { name: "wal-latency/C O_DSYNC", run: (context) => runC(context, "dsync") },
  { name: "wal-latency/C fdatasync", run: (context) => runC(context, "fdatasync") },
];

/** What a single record waits for, and what many that wait together gain. */
export const walLatency: Job = {
  name: "wal-latency",
  title:
    "producers that wait for each 100-byte record, against bare durable writes of 4 KiB, one after the other",
  ratioTo: "each control",
  variants: [
    {
      name: one,
      control: [...bareNode, ...bareC].map(({ name }) => name),
      run: (context) => run(context, "log"),
    },
    {
      name: "wal-latency/1,000 producers",
      control: one,
      run: (context) => run(context, "log", manyProducers),
    },
    ...bareNode,
    ...bareC,
  ],
};
