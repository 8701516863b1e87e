/**
 * `holdfast log inspect` and `verify`: what the log holds, and whether it is whole. Both work beside a writer.
 */
import { join } from "node:path";
import { showSize } from "../config/quantities.ts";
import { CODES, codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { realHost } from "../host/real-host.ts";
import { DEAD_LETTER_DIRECTORY, LOG_DIRECTORY } from "../storage.ts";
import {
  type Finding,
  inspectLog,
  type LogInspection,
  type LogVerification,
  type SegmentInspection,
  verifyLog,
} from "../wal/inspect.ts";
import { readKnownLog, readLedger } from "./log-ledger.ts";
import { counted, showCount, showTable } from "./render.ts";
import type { Terminal } from "./terminal.ts";

/** The logs of a data directory. */
const LOGS = [LOG_DIRECTORY, DEAD_LETTER_DIRECTORY];

export async function inspect(directory: string, terminal: Terminal): Promise<number> {
  for (const name of LOGS) {
    const inspection = await orNothing(inspectOne(realHost().files, directory, name));
    if (inspection === undefined) terminal.print(`${name}: not there`);
    else for (const line of inspectionLines(name, inspection)) terminal.print(line);
  }
  return 0;
}

async function inspectOne(files: Files, directory: string, name: string): Promise<LogInspection> {
  const known = await readKnownLog(files, directory, name);
  return await inspectLog(files, join(directory, name), known);
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
    unprovenRecords,
  } = inspection;
  const spares = spareCount === 0 ? "" : `, ${showCount(spareCount)} spare`;
  return [
    `${name}: ${counted(recordCount, "record")}, offsets ${showCount(oldestOffset)} to ${showCount(nextOffset)}, ${counted(segments.length, "segment")} of ${showSize(fileBytes)}${spares}`,
    ...indented(
      segments.length === 0
        ? []
        : showTable([
            ["SEGMENT", "OFFSETS", "ENTRIES", "RECORDS", "SIZE", "STATE"],
            ...segments.map(segmentRow),
          ]),
    ),
    ...indented(
      channels.length === 0
        ? []
        : showTable([
            ["RECEIVER", "CHANNEL", "RECORDS", "BYTES", "OFFSETS"],
            ...channels.map((each) => [
              each.receiver,
              each.channel === "" ? "-" : each.channel,
              showCount(each.recordCount),
              showCount(each.payloadBytes),
              offsets(each.firstOffset, each.endOffset),
            ]),
          ]),
    ),
    ...unprovenLine(unprovenRecords, nextOffset),
    ...strange.map(({ file, kind, reason }) => `  ${file}: ${kind}, ${reason}`),
  ];
}

function unprovenLine(recordCount: number, nextOffset: number): readonly string[] {
  if (recordCount === 0) return [];
  const records = `${counted(recordCount, "record")} from offset ${showCount(nextOffset)} on`;
  return [`  ${records} not counted: written, and not yet known to be durable`];
}

function indented(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}

function segmentRow({
  file,
  baseOffset,
  fileBytes,
  content,
}: SegmentInspection): readonly string[] {
  const state = content.isSealed ? "sealed" : content.isClosed ? "closed" : "open";
  const damaged =
    content.damaged.length === 0 ? "" : `, ${showCount(content.damaged.length)} damaged`;
  return [
    file,
    offsets(baseOffset, content.endOffset),
    showCount(content.entryCount),
    showCount(content.recordCount),
    showSize(fileBytes),
    `${state}${damaged}`,
  ];
}

function offsets(from: number, to: number): string {
  return `${showCount(from)} to ${showCount(to)}`;
}

export async function verify(directory: string, terminal: Terminal): Promise<number> {
  const { files } = realHost();
  const verdicts = await Promise.all(
    LOGS.map(async (name) => ({
      name,
      found: await orNothing(
        verifyLog(files, join(directory, name), () => readKnownLog(files, directory, name)),
      ),
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
  const knownCount = findings.filter(({ isKnown }) => isKnown).length;
  const known = knownCount === 0 ? "" : ` but for ${counted(knownCount, "known gap")}`;
  const summary = isWhole ? `whole${known}` : `damaged, ${counted(lostRecords, "record")} lost`;
  terminal.print(`${name}: ${summary}; ${counted(inspection.recordCount, "record")} read`);
}

function findingLine(
  name: string,
  { file, kind, isLoss, isKnown, positions, reason, offsets: lost }: Finding,
): string {
  const where = positions === undefined ? "" : `, bytes ${positions[0]} to ${positions[1]}`;
  const records = lost === undefined ? "" : `, offsets ${lost[0]} to ${lost[1]}`;
  const told = isKnown ? "known gap: " : "LOG_DAMAGED: ";
  return `${isLoss ? told : ""}${name}/${file}${where}${records}: ${kind}, ${reason}`;
}

async function verifyLedger(files: Files, directory: string, terminal: Terminal): Promise<boolean> {
  const { recovery, state } = await readLedger(files, directory);
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
