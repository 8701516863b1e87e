/**
 * One run at full speed: start, load, wait until everything is committed, count, compare.
 */
import type { GatewayPlace } from "../test/support/gateway-example.ts";
import { type Measurement } from "./job.ts";
import { sendLoad, speed } from "./load.ts";
import { type BenchProgram, BenchSite, type Configuration } from "./program.ts";

/** Behind this share of the output the console is asked. */
const nearlyDoneShare = 0.98;

/** A job at full speed. */
export interface Throughput {
  readonly configuration: Configuration;
  readonly count: number;
  readonly connections: number;
  /** How the output is watched and checked; left out for a job that ends with its acknowledgements. */
  readonly output?: {
    /** 0 to 1, without asking the program. */
    readonly progress: (place: GatewayPlace) => number;
    readonly verify: (place: GatewayPlace) => void | Promise<void>;
  };
}

const bytesPerMib = 1024 * 1024;

/** Runs it once. Start-up is left out of the CPU, reading the output back is left out of everything. */
export function measureThroughput(job: Throughput): Promise<readonly Measurement[]> {
  return BenchSite.with(job.configuration, async (site) => {
    const measured = await site.run((program) => underLoad(program, job));
    await job.output?.verify(site.place);
    return measured;
  });
}

async function underLoad(
  program: BenchProgram,
  { count, connections, output }: Throughput,
): Promise<readonly Measurement[]> {
  const before = program.usage();
  const startMs = performance.now();
  const load = await sendLoad({ port: program.place.tcpPort, count, connections });
  if (output !== undefined)
    await program.drained(() => output.progress(program.place) >= nearlyDoneShare);
  const seconds = output === undefined ? load.seconds : (performance.now() - startMs) / 1000;
  const after = program.usage();
  const stored = await program.storedRecords();
  if (stored !== count) throw new Error(`${count} records sent, ${stored} stored`);
  return [
    ...speed(count, seconds, after.cpuSeconds - before.cpuSeconds),
    { metric: "peak RSS", value: after.peakBytes / bytesPerMib, unit: "MiB" },
  ];
}
