import { partsDirectoryOf } from "../../test/support/gateway-example.ts";
import { jsonFilter, rawLines } from "../configurations.ts";
import { type Job, scaled } from "../job.ts";
import { hotShare, recordBytes } from "../load.ts";
import type { Configuration } from "../program.ts";
import { measureThroughput } from "../throughput.ts";
import { directoryBytes, verifyParts } from "../verify.ts";

const rawCount = 5_000_000;
const jsonCount = 2_000_000;
/** The generator makes every fifth record one that the filter drops. */
const coldEvery = 5;

interface FilesJob {
  readonly name: string;
  readonly title: string;
  readonly configuration: Configuration;
  readonly count: number;
  readonly kept: (id: number) => boolean;
  readonly keptShare: number;
}

function filesJob({ name, title, configuration, count, kept, keptShare }: FilesJob): Job {
  return {
    name,
    title,
    variants: [
      {
        name: `${name}/2 connections`,
        run: (context) => {
          const sent = scaled(context, count);
          return measureThroughput({
            configuration,
            count: sent,
            connections: 2,
            output: {
              progress: (place) =>
                directoryBytes(partsDirectoryOf(place)) / (sent * keptShare * recordBytes),
              verify: (place) =>
                verifyParts(partsDirectoryOf(place), { count: sent, wanted: kept }),
            },
          });
        },
      },
    ],
  };
}

/** The bytes as they came, into files, committed. */
export const raw: Job = filesJob({
  name: "raw",
  title: "TCP -> log -> raw lines in files, durable",
  configuration: rawLines,
  count: rawCount,
  kept: () => true,
  keptShare: 1,
});

/** Parse every record, keep four of five, write JSON lines, committed. */
export const json: Job = filesJob({
  name: "json",
  title: "TCP -> log -> JSON parse, filter 80 % -> JSON lines, durable",
  configuration: jsonFilter,
  count: jsonCount,
  kept: (id) => id % coldEvery !== 0,
  keptShare: hotShare,
});
