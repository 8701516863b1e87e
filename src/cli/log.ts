/**
 * `holdfast log`: what the log holds, whether it is whole, and taking over a directory that was
 * moved.
 */
import { join } from "node:path";
import { showSize } from "../config/quantities.ts";
import { CODES, codeOf, HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { realHost } from "../host/real-host.ts";
import {
  DEAD_LETTER_DIRECTORY,
  LEDGER_DIRECTORY,
  lockDirectory,
  LOG_DIRECTORY,
  openLedgerOf,
} from "../storage.ts";
import {
  type Finding,
  inspectLog,
  type LogInspection,
  type LogVerification,
  type SegmentInspection,
  verifyLog,
} from "../wal/inspect.ts";
import { findLedger } from "../wal/ledger-recovery.ts";
import type { Call } from "./command.ts";
import { dataDirectory, requireDirectory } from "./config-file.ts";
import { counted, showCount, showTable } from "./render.ts";
import type { Terminal } from "./terminal.ts";

/** The logs of a data directory. */
const LOGS = [LOG_DIRECTORY, DEAD_LETTER_DIRECTORY];

export async function main(call: Call): Promise<number> {
  const [verb] = call.positionals;
  const work =
    verb === "inspect"
      ? inspect
      : verb === "verify"
        ? verify
        : verb === "adopt"
          ? adopt
          : undefined;
  if (work === undefined)
    throw new HoldfastError(
      "USAGE",
      `holdfast log takes inspect, verify or adopt, it got ${verb}`,
      { fix: "holdfast log inspect" },
    );
  const directory = await dataDirectory(call);
  await requireDirectory(realHost().files, directory);
  return work(directory, call.terminal);
}

async function inspect(directory: string, terminal: Terminal): Promise<number> {
  for (const name of LOGS) {
    const inspection = await orNothing(inspectLog(realHost().files, join(directory, name)));
    if (inspection === undefined) terminal.print(`${name}: not there`);
    else for (const line of inspectionLines(name, inspection)) terminal.print(line);
  }
  return 0;
}

function inspectionLines(name: string, inspection: LogInspection): readonly string[] {
  const {
    segments,
    channels,
    strange,
    recordCount,
    oldestOffset,
    nextOffset,
    fileBytes,
    spareCount,
  } = inspection;
  const spares = spareCount === 0 ? "" : `, ${showCount(spareCount)} spare`;
  return [
    `${name}: ${counted(recordCount, "record")}, offsets ${showCount(oldestOffset)} to ${showCount(nextOffset)}, ${counted(segments.length, "segment")} of ${showSize(fileBytes)}${spares}`,
    ...indented(
      segments.length === 0
        ? []
        : showTable([
            ["SEGMENT", "OFFSETS", "ENTRIES", "RECORDS", "STATE"],
            ...segments.map(segmentRow),
          ]),
    ),
    ...indented(
      channels.length === 0
        ? []
        : showTable([
            ["RECEIVER", "CHANNEL", "RECORDS", "OFFSETS"],
            ...channels.map((each) => [
              each.receiver,
              each.channel === "" ? "-" : each.channel,
              showCount(each.recordCount),
              offsets(each.firstOffset, each.endOffset),
            ]),
          ]),
    ),
    ...strange.map(({ file, kind, reason }) => `  ${file}: ${kind}, ${reason}`),
  ];
}

function indented(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}

function segmentRow({ file, baseOffset, content }: SegmentInspection): readonly string[] {
  const state = content.isSealed ? "sealed" : content.isClosed ? "closed" : "open";
  const damaged =
    content.damaged.length === 0 ? "" : `, ${showCount(content.damaged.length)} damaged`;
  return [
    file,
    offsets(baseOffset, content.endOffset),
    showCount(content.entryCount),
    showCount(content.recordCount),
    `${state}${damaged}`,
  ];
}

function offsets(from: number, to: number): string {
  return `${showCount(from)} to ${showCount(to)}`;
}

async function verify(directory: string, terminal: Terminal): Promise<number> {
  const { files } = realHost();
  const verdicts = await Promise.all(
    LOGS.map(async (name) => ({
      name,
      found: await orNothing(verifyLog(files, join(directory, name))),
    })),
  );
  for (const { name, found } of verdicts)
    if (found !== undefined) showVerdict(name, found, terminal);
  const isLedgerWhole = await verifyLedger(files, directory, terminal);
  const isWhole = isLedgerWhole && verdicts.every(({ found }) => found?.isWhole !== false);
  return isWhole ? 0 : CODES.LOG_DAMAGED.exitCode;
}

function showVerdict(
  name: string,
  { findings, lostRecords, isWhole, inspection }: LogVerification,
  terminal: Terminal,
): void {
  for (const finding of findings) terminal.complain(findingLine(name, finding));
  const summary = isWhole ? "whole" : `damaged, ${counted(lostRecords, "record")} lost`;
  terminal.print(`${name}: ${summary}; ${counted(inspection.recordCount, "record")} read`);
}

function findingLine(
  name: string,
  { file, kind, isLoss, positions, reason, offsets: lost }: Finding,
): string {
  const where = positions === undefined ? "" : `, bytes ${positions[0]} to ${positions[1]}`;
  const records = lost === undefined ? "" : `, offsets ${lost[0]} to ${lost[1]}`;
  return `${isLoss ? "LOG_DAMAGED: " : ""}${name}/${file}${where}${records}: ${kind}, ${reason}`;
}

async function verifyLedger(files: Files, directory: string, terminal: Terminal): Promise<boolean> {
  const { recovery, state } = await findLedger(
    files,
    join(directory, LEDGER_DIRECTORY),
    join(directory, LOG_DIRECTORY),
  );
  if (recovery.kind === "lost")
    terminal.complain("LOG_DAMAGED: ledger: there is a log and no ledger that can be read");
  if (recovery.kind === "damaged")
    terminal.complain(`LOG_DAMAGED: ledger: ${showCount(recovery.lostFacts)} facts are gone`);
  const isWhole = recovery.kind === "new" || recovery.kind === "recovered";
  terminal.print(
    `ledger: ${isWhole ? "whole" : "damaged"}; ${counted(state.factCount, "fact")}, ${counted(state.pipelines.size, "pipeline")}`,
  );
  return isWhole;
}

/** A log that was never written has no directory. */
async function orNothing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Opening the ledger writes down where it is now: from then on that is where it belongs. */
async function adopt(directory: string, terminal: Terminal): Promise<number> {
  const host = realHost();
  const lock = await lockDirectory(host, directory);
  try {
    const ledger = await openLedgerOf(host, directory, true);
    await ledger.close();
  } finally {
    await lock.release();
  }
  terminal.print(`adopted ${directory}: make sure that no other copy of it is in use`);
  return 0;
}
