/**
 * The process under test: an ingest whose TCP receiver is made to fail again and again. It takes orders over its
 * channel: `node --expose-gc gateway.js DIRECTORY PORT`, forked by `restart-run.ts`.
 */
import { join } from "node:path";
import { askRunning } from "../../src/cli/ask-instance.ts";
import { realClock } from "../../src/host/clock.ts";
import { realHost } from "../../src/host/real-host.ts";
import { asap, createIngest, from, json, lines, pipeline } from "../../src/index.ts";
import { jsonLines } from "../../src/sink/file.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { tcp } from "../../receivers/tcp/index.ts";
import { oneForOne, withoutJitter } from "../../supervisors/index.ts";
import { eventually } from "../support/deadline.ts";
import { silentLogger } from "../support/logger.ts";
import { FORCES, type Force, ForcedReceiver } from "./forced-receiver.ts";
import type { Footprint, Order, Report } from "./protocol.ts";

/** These take as long as a deadline: 5 and 30 seconds. So often, at the end of so many others. */
const SLOW_FORCES: ReadonlyMap<number, Force> = new Map([
  [500, "close hangs"],
  [4_000, "open hangs"],
]);
const QUICK_FORCES = FORCES.filter((force) => !force.endsWith("hangs"));
/** Of the restarts are ordered over the control socket, as a person does. */
const BY_HAND = 0.05;
/** Restarts mostly come while records are on their way. */
const LOADED = 0.9;
const STEP_MS_MAX = 120_000;
const SETTLE_TURNS = 20;

const [directory = "", port = ""] = process.argv.slice(2);
const host = realHost();
const receiver = new ForcedReceiver(
  tcp("meters", {
    port: Number(port),
    framing: lines(),
    acknowledge: "count-line",
    supervision: oneForOne({
      maxRestarts: Infinity,
      withinMs: 1_000,
      backoff: withoutJitter({ minMs: 0, maxMs: 0, resetAfterMs: 0 }),
    }),
  }),
);
let epoch = 0;
const ingest = createIngest({
  directory: join(directory, "data"),
  host,
  receivers: [receiver],
  pipelines: [
    pipeline("rows", {
      outputs: [
        from(receiver)
          .decode(json())
          .writeTo(
            jsonLines("parts", { directory: join(directory, "parts"), partAgeMsMax: 1_000 }),
          ),
      ],
      trigger: asap({ minIntervalMs: 50 }),
    }),
  ],
  log: { bytesMax: 256 * 2 ** 20, segmentBytes: 4 * 2 ** 20 },
  logger: silentLogger,
  listeners: [{ onReceiverStarted: (event) => (epoch = event.epoch) }],
});

await ingest.start();
const firstOffset = ingest.snapshot().log.durableEnd;
process.on("message", (order: Order) => void obey(order));
tell({ kind: "ready" });

function tell(report: Report): void {
  process.send?.(report);
}

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case "restart":
      return await restart(order.times, order.seed);
    case "measure":
      return tell({ kind: "measured", footprint: await footprint() });
    case "stop":
      return await stop();
  }
}

async function restart(times: number, seed: number): Promise<void> {
  const random = createSeededRandom(seed);
  const forces: Record<string, number> = {};
  for (let restarts = 1; restarts <= times; restarts++) {
    if (random.chance(LOADED)) await storing();
    const slow = [...SLOW_FORCES].find(([every]) => restarts % every === 0)?.[1];
    const force = slow ?? (random.chance(BY_HAND) ? "by hand" : random.pick(QUICK_FORCES));
    forces[force] = (forces[force] ?? 0) + 1;
    const before = epoch;
    if (force === "by hand") await restartByHand();
    else receiver.force(force);
    await until(`epoch after ${before}, ${force}`, () => epoch > before);
  }
  tell({ kind: "restarted", restarts: times, forces });
}

async function restartByHand(): Promise<void> {
  const place = { directory: join(directory, "data"), command: "units-restart" };
  await askRunning(host, { ...place, arguments: { unit: "receivers/meters" } });
}

/** Resolves when a record has been accepted after this call. */
function storing(): Promise<void> {
  const { accepted } = receiver.accounts;
  return until("a record", () => receiver.accounts.accepted > accepted);
}

function until(what: string, isSo: () => boolean): Promise<void> {
  return eventually(what, isSo, { everyMs: 1, deadlineMs: STEP_MS_MAX });
}

async function caughtUp(): Promise<void> {
  await until("lag 0", () =>
    ingest.snapshot().pipelines.every(({ lagRecords }) => lagRecords === 0),
  );
}

async function footprint(): Promise<Footprint> {
  await caughtUp();
  // A part that is still open and a log that is about to rest have timers; then there is none.
  await until("rest", () => !process.getActiveResourcesInfo().includes("Timeout"));
  if (globalThis.gc === undefined) throw new Error("start node with --expose-gc");
  for (let turn = 0; turn < SETTLE_TURNS; turn++) {
    await realClock.yield();
    globalThis.gc();
  }
  const { heapUsed, external } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return { heapBytes: heapUsed, externalBytes: external, resources };
}

async function stop(): Promise<void> {
  await caughtUp();
  const { notStopped, nextOffset } = await ingest.stop();
  tell({ kind: "stopped", accounts: receiver.accounts, firstOffset, nextOffset, notStopped });
  process.disconnect();
}
