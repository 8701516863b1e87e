/**
 * A data directory on a disk in memory: a ledger and its log, as the program opens them.
 */
import type { Column } from "../../src/contract/record.ts";
import { type OpenedLedger, openLedger } from "../../src/wal/ledger.ts";
import type { LogOptions } from "../../src/wal/log-options.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import type { ReadRecord } from "../support/independent-entry.ts";
import type { ReadGap, ReadLog } from "../support/independent-reader.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { DIRECTORY, open, type Scene } from "./log-scene.ts";

export const LEDGER_DIRECTORY = "/data/ledger";

/** A ledger and a log on the same disk. */
export interface World {
  readonly scene: Scene;
  readonly ledger: OpenedLedger;
  readonly opened: OpenedLog;
}

/** Opens both, as one process does. `sees`: looks at the ledger before the log is opened. */
export async function openWorld(
  scene: Scene,
  change: Partial<LogOptions> = {},
  sees: (ledger: OpenedLedger) => void = () => undefined,
): Promise<World> {
  const files = scene.files();
  const ledger = await openLedger({
    files,
    clock: scene.clock,
    random: createSeededRandom(1),
    directory: LEDGER_DIRECTORY,
    logDirectory: DIRECTORY,
    identity: { machineId: "m", inode: "i" },
    fileBytes: 64 * 1024,
  });
  sees(ledger);
  const { epoch, logUuid } = ledger;
  const facts = ledger.facts("log");
  const options = { files, facts, epoch, logUuid, witnessAfterMs: 500, ...change };
  return { scene, ledger, opened: await open(scene, options) };
}

/** Opens the dead letters beside them. */
export function openLetters({ ledger, scene }: World): Promise<OpenedLog> {
  const { epoch, logUuid } = ledger;
  const facts = ledger.facts("dead-letters");
  const directory = "/data/dead-letters";
  return open(scene, { directory, facts, epoch, logUuid, files: scene.disk });
}

/** Ends it in order. */
export async function closeWorld({ ledger, opened }: World): Promise<void> {
  await opened.log.close();
  await ledger.close();
}

function textIn(column: Column | undefined, index: number): string {
  if (column === undefined) return "";
  const from = index === 0 ? 0 : column.ends[index - 1];
  return Buffer.from(column.bytes.subarray(from, column.ends[index])).toString();
}

/** What the log's own reader gives, in the words of the other one. */
export async function readByLog({
  ledger,
  opened,
}: World): Promise<Omit<ReadLog, "positions" | "keys">> {
  const { log } = opened;
  const records: ReadRecord[] = [];
  const gaps: ReadGap[] = [];
  // What is lost in front of the oldest segment is a gap too.
  const from = Math.min(ledger.facts("log").floor?.offset ?? Infinity, log.status().oldestOffset);
  const span = { from, to: log.durableEnd };
  for await (const item of log.read(span, new AbortController().signal)) {
    if (item.kind === "gap") {
      gaps.push({ from: item.from, to: item.to, reason: item.reason });
      continue;
    }
    const { block } = item;
    for (let index = 0; index < block.count; index += 1) {
      const from = index === 0 ? block.valuesStart : (block.valueEnds[index - 1] ?? 0);
      const to = (block.valueEnds[index] ?? 0) - block.delimiterBytes;
      records.push({
        offset: block.firstOffset + index,
        receiver: block.receiver,
        channel: block.channel,
        value: Buffer.from(block.values.subarray(from, to)).toString("hex"),
        receivedAtMs: block.receivedAtMs(index),
        key: textIn(block.keys, index),
        timestampMs: block.timestampsMs?.[index] ?? Number.NaN,
        headers: textIn(block.headers, index),
      });
    }
  }
  return { records, gaps };
}
