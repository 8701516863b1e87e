/**
 * `holdfast pipelines`: what the ledger of a data directory knows, and how to make it forget.
 */
import { join } from "node:path";
import { suggestion } from "../config/suggest.ts";
import { showDuration } from "../config/quantities.ts";
import type { PipelineCheckpoint } from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";
import { realHost } from "../host/real-host.ts";
import { LEDGER_DIRECTORY, lockDirectory, LOG_DIRECTORY, openLedgerOf } from "../storage.ts";
import { findLedger } from "../wal/ledger-recovery.ts";
import { standing } from "../wal/ledger-state.ts";
import type { Call } from "./command.ts";
import { dataDirectory, requireDirectory } from "./config-file.ts";
import { showCount, showTable } from "./render.ts";

const MINUTE_MS = 60_000;

export async function main(call: Call): Promise<number> {
  const [verb, name] = call.positionals;
  if (verb === "list" && name === undefined) return list(call);
  if (verb === "forget" && name !== undefined) return forget(call, name);
  throw new HoldfastError(
    "USAGE",
    `holdfast pipelines takes list, or forget and a name; it got ${call.positionals.join(" ")}`,
    { fix: "holdfast pipelines list" },
  );
}

/** Reads only: an instance may run meanwhile, and nothing is locked. */
async function list(call: Call): Promise<number> {
  const directory = await dataDirectory(call);
  const { files, clock } = realHost();
  await requireDirectory(files, directory);
  const { state } = await findLedger(
    files,
    join(directory, LEDGER_DIRECTORY),
    join(directory, LOG_DIRECTORY),
  );
  if (state.pipelines.size === 0) {
    call.terminal.print(`no pipelines in ${directory}`);
    return 0;
  }
  const rows = [...state.pipelines].map(([name, checkpoint]) =>
    pipelineRow(name, checkpoint, clock.wallMs()),
  );
  for (const line of showTable([["PIPELINE", "BATCH", "OFFSET", "STATE"], ...rows]))
    call.terminal.print(line);
  return 0;
}

function pipelineRow(
  name: string,
  checkpoint: PipelineCheckpoint,
  nowMs: number,
): readonly string[] {
  const { committed, open, orphanedSinceMs } = checkpoint;
  const offset = Object.values(standing(checkpoint)).flatMap((partitions) =>
    Object.values(partitions),
  );
  const state =
    orphanedSinceMs === undefined
      ? open === undefined
        ? "committed"
        : `batch ${showCount(open.batchId)} is open`
      : `left the configuration ${showAge(nowMs - orphanedSinceMs)} ago`;
  return [name, showCount(committed?.batchId ?? 0), showCount(Math.max(0, ...offset)), state];
}

function showAge(ms: number): string {
  return ms < MINUTE_MS
    ? "less than a minute"
    : showDuration(Math.floor(ms / MINUTE_MS) * MINUTE_MS);
}

async function forget(call: Call, name: string): Promise<number> {
  const directory = await dataDirectory(call);
  const host = realHost();
  await requireDirectory(host.files, directory);
  const lock = await lockDirectory(host, directory);
  try {
    const ledger = await openLedgerOf(host, directory);
    try {
      const known = ledger.pipelines();
      if (!known.includes(name)) throw unknownPipeline(name, known);
      await ledger.forget(name);
    } finally {
      await ledger.close();
    }
  } finally {
    await lock.release();
  }
  call.terminal.print(
    `forgot ${name}: it holds no space any more; should it come back, it begins anew, with a new identity in its sinks`,
  );
  return 0;
}

function unknownPipeline(name: string, known: readonly string[]): HoldfastError {
  const there = known.length === 0 ? "it knows none" : `it knows ${known.join(", ")}`;
  const fix = suggestion(name, known);
  return new HoldfastError(
    "PIPELINE_UNKNOWN",
    `the ledger has no pipeline ${JSON.stringify(name)}, ${there}`,
    { fix: fix.startsWith("did") ? fix : "" },
  );
}
