import { connect } from "node:net";
import { pause, within } from "../../test/support/deadline.ts";
import { gateway } from "../configurations.ts";
import type { Job, Measurement, RunContext } from "../job.ts";
import { BenchSite } from "../program.ts";
import { median } from "../statistics.ts";

const startsPerRound = 5;
const startDeadlineMs = 60_000;
/** Between two attempts to connect: the figures are up to this much too long. */
const retryMs = 1;

const record = '{"device":"first","temperature":21.5}\n';

/** Launches the program, and resolves with the ms until the first count line. */
async function timeStart(site: BenchSite): Promise<number> {
  const startMs = performance.now();
  const program = site.launch();
  try {
    await within(
      startDeadlineMs,
      "first acknowledgement",
      firstAcknowledgement(site.place.tcpPort),
    );
    const tookMs = performance.now() - startMs;
    await program.ready();
    await program.stop();
    return tookMs;
  } finally {
    await program.kill();
  }
}

async function firstAcknowledgement(port: number): Promise<void> {
  while (!(await acknowledges(port))) await pause(retryMs);
}

/** One attempt: false when nobody listens yet. */
function acknowledges(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => socket.write(record));
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function toAcknowledgement(value: number): readonly Measurement[] {
  return [{ metric: "start to first acknowledgement", value, unit: "ms" }];
}

/** Each start finds an empty directory: the first segments are zero-written. */
async function fresh(context: RunContext): Promise<readonly Measurement[]> {
  const times: number[] = [];
  for (let start = 0; start < (context.quick ? 1 : startsPerRound); start += 1)
    times.push(await BenchSite.with(gateway, timeStart));
  return toAcknowledgement(median(times));
}

/** Each start but the first, which does not count, finds what the one before left. */
function again(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(gateway, async (site) => {
    await timeStart(site);
    const times: number[] = [];
    for (let start = 0; start < (context.quick ? 1 : startsPerRound); start += 1)
      times.push(await timeStart(site));
    return toAcknowledgement(median(times));
  });
}

/** From spawning Node to the first count line, with the example's configuration. */
export const start: Job = {
  name: "start",
  title: "from launching the example to its first acknowledgement",
  variants: [
    { name: "start/empty directory", run: fresh },
    { name: "start/existing directory", run: again },
  ],
};
