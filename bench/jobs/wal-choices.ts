import type { Job, Measurement, RunContext, Variant } from "../job.ts";
import { scaled } from "../job.ts";
import { installPeer } from "../wal/peers.ts";
import type { PathOptions } from "../wal/probes/choices.ts";
import type { PartsOptions } from "../wal/probes/parts.ts";
import type { SumOptions } from "../wal/probes/sums.ts";
import { runProbe, withDirectory } from "../wal/run-probe.ts";

const bytesPerKib = 1024;
const bytesPerMib: number = 1024 * 1024;
const bytesPerPath: number = 256 * bytesPerMib;
const writesMax = 2_000;
const bytesPerSum = 2e9;
const sumCallsMax = 2_000_000;

function us(metric: string, value: number): Measurement {
  return { metric, value, unit: "us" };
}

const paths = [
  { path: "main thread", control: undefined },
  { path: "worker thread", control: "main thread" },
  { path: "growing, O_DSYNC", control: "main thread" },
  { path: "growing, fdatasync", control: "main thread" },
] as const;

function runPath(
  context: RunContext,
  path: PathOptions["path"],
  writeBytes: number,
): Promise<readonly Measurement[]> {
  const writes = scaled(context, Math.min(writesMax, bytesPerPath / writeBytes));
  return withDirectory(async (directory) => {
    const numbers = await runProbe("commitPath", { directory, path, writeBytes, writes });
    return [
      us("commit p50", numbers.p50Us),
      { metric: "commits per second", value: numbers.writesPerSecond, unit: "" },
      { metric: "main thread busy", value: numbers.mainBusyShare * 100, unit: "%" },
    ];
  });
}

const pathVariants = [4, 256, 1024].flatMap((kib) =>
  paths.map(({ control, path }): Variant => {
    const nameOf = (each: string): string => `wal-choices/${kib} KiB: ${each}`;
    return {
      name: nameOf(path === "main thread" ? "main thread, recycled file" : path),
      ...(control === undefined ? {} : { control: nameOf("main thread, recycled file") }),
      run: (context) => runPath(context, path, kib * bytesPerKib),
    };
  }),
);

const shapes = [
  { parts: 1_000, partBytes: 100 },
  { parts: 16, partBytes: 65_536 },
] as const;

const partVariants = shapes.flatMap(({ partBytes, parts }) => {
  const nameOf = (way: string): string =>
    `wal-choices/${parts.toLocaleString("en-US")} x ${partBytes} B: ${way}`;
  return (["copied", "writev"] as const).map(
    (way: PartsOptions["way"]): Variant => ({
      name: nameOf(way),
      ...(way === "copied" ? {} : { control: nameOf("copied") }),
      run: (context) =>
        withDirectory(async (directory) => {
          const writes = scaled(context, 500);
          const options = { directory, way, parts, partBytes, writes };
          const numbers = await runProbe("parts", options);
          return [us("commit p50", numbers.p50Us), us("CPU per commit", numbers.cpuUsPerWrite)];
        }),
    }),
  );
});

async function runSum(
  context: RunContext,
  sum: SumOptions["sum"],
  bytes: number,
): Promise<readonly Measurement[]> {
  if (sum !== "zlib.crc32" && !(await installPeer(sum)))
    return [us("left out: npm could not install it", 0)];
  const calls = scaled(context, Math.min(sumCallsMax, Math.ceil(bytesPerSum / bytes)));
  const { usPerCall } = await runProbe("sums", { sum, bytes, calls });
  return [us("one call", usPerCall)];
}

const sumSizes = [
  { title: "100 B", bytes: 100 },
  { title: "64 KiB", bytes: 64 * bytesPerKib },
  { title: "1 MiB", bytes: bytesPerMib },
] as const;

const sumVariants = sumSizes.flatMap(({ bytes, title }) => {
  const nameOf = (sum: string): string => `wal-choices/sum of ${title}: ${sum}`;
  return (["zlib.crc32", "@node-rs/crc32", "xxhash-wasm"] as const).map(
    (sum): Variant => ({
      name: nameOf(sum),
      ...(sum === "zlib.crc32" ? {} : { control: nameOf("zlib.crc32") }),
      run: (context) => runSum(context, sum, bytes),
    }),
  );
});

/** The measurements behind `docs/decisions/wal-choices.md`. */
export const walChoices: Job = {
  name: "wal-choices",
  title: "what was chosen for the log against what was not: durable commits, parts, checksums",
  ratioTo: "the choice",
  variants: [...pathVariants, ...partVariants, ...sumVariants],
};
