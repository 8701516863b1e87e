import type { Job, Measurement, RunContext, Variant } from "../job.ts";
import { installPeer, peerTitle } from "../wal/peers.ts";
import type { StoreOptions } from "../wal/probes/stores.ts";
import { runProbe, withDirectory } from "../wal/run-probe.ts";

const secondsPerRun = 1;
const secondsQuick = 0.2;
const peers = ["better-sqlite3", "lmdb", "classic-level"] as const;

function run(
  store: StoreOptions["store"],
  recordsPerCommit: number,
  { quick }: RunContext,
): Promise<readonly Measurement[]> {
  return withDirectory(async (directory) => {
    const seconds = quick ? secondsQuick : secondsPerRun;
    const numbers = await runProbe("stores", { directory, store, recordsPerCommit, seconds });
    return [
      { metric: "records per second", value: numbers.recordsPerSecond, unit: "records/s" },
      { metric: "CPU per record", value: numbers.cpuNsPerRecord, unit: "ns" },
    ];
  });
}

async function runPeer(
  peer: (typeof peers)[number],
  recordsPerCommit: number,
  context: RunContext,
): Promise<readonly Measurement[]> {
  if (await installPeer(peer)) return await run(peer, recordsPerCommit, context);
  return [{ metric: "left out: npm could not install it", value: 0, unit: "records/s" }];
}

const variants = [1_000, 100].flatMap((count): readonly Variant[] => {
  const title = `${count.toLocaleString("en-US")} records`;
  const nameOf = (peer: (typeof peers)[number]): string =>
    `wal-stores/${peerTitle(peer)}, ${title}`;
  const control = peers.map(nameOf);
  return [
    { name: `wal-stores/${title}`, control, run: (context) => run("log", count, context) },
    {
      name: `wal-stores/${title}, block built from values`,
      control,
      run: (context) => run("log, records", count, context),
    },
    ...peers.map((peer) => ({
      name: nameOf(peer),
      run: (context: RunContext) => runPeer(peer, count, context),
    })),
  ];
});

/** What else a Node program could keep records in, each as durable as the log. */
export const walStores: Job = {
  name: "wal-stores",
  title:
    "durable commits of 100-byte records, one after the other: the log, SQLite (WAL, FULL), lmdb, LevelDB (sync)",
  ratioTo: "each peer",
  variants,
};
