/**
 * `holdfast log truncate`: asks the running instance, or does it under the lock when there is none.
 */
import { join } from "node:path";
import { showSize } from "../config/quantities.ts";
import { truncateClosedLog } from "../closed-log.ts";
import { codeOf } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { realHost } from "../host/real-host.ts";
import { LOG_DIRECTORY } from "../storage.ts";
import type { PipelineLoss, TruncateReport, TruncateRequest } from "../truncate.ts";
import { firstOffsetSince, openLogReading } from "../wal/log-reading.ts";
import { askInstance, notUnderstood } from "./ask-instance.ts";
import type { Call } from "./command.ts";
import { type LogPlace, placeOption } from "./log-arguments.ts";
import { readKnownLog } from "./log-ledger.ts";
import { counted, showCount } from "./render.ts";
import type { Terminal } from "./terminal.ts";

export async function truncate(call: Call, directory: string): Promise<number> {
  const host = realHost();
  const place = placeOption(call, "before", host.clock.wallMs());
  const before = await offsetOf(place, host, directory);
  if (before === undefined) {
    call.terminal.print(`there is no log in ${directory}`);
    return 0;
  }
  const request = { before, force: call.has("force") };
  const report =
    (await truncateRunning(host, directory, request)) ??
    (await truncateClosedLog(host, directory, request));
  showReport(request, report, call.terminal);
  return 0;
}

/** Undefined when there is no log. */
async function offsetOf(
  place: LogPlace,
  { files }: Host,
  directory: string,
): Promise<number | undefined> {
  const log = join(directory, LOG_DIRECTORY);
  if ((await files.stat(log)) === undefined) return undefined;
  if (place.kind === "offset") return place.offset;
  try {
    const reading = await openLogReading(
      files,
      log,
      await readKnownLog(files, directory, LOG_DIRECTORY),
    );
    return await firstOffsetSince(reading, place.timeMs, new AbortController().signal);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Undefined when no instance runs, or it cannot be asked: then the lock says which. */
async function truncateRunning(
  host: Host,
  directory: string,
  request: TruncateRequest,
): Promise<TruncateReport | undefined> {
  const answer = await askInstance(host, {
    directory,
    command: "truncate",
    arguments: { ...request },
  });
  if (answer.kind === "absent") return undefined;
  if (isReport(answer.result)) return answer.result;
  throw notUnderstood();
}

function isReport(value: unknown): value is TruncateReport {
  return (
    typeof value === "object" &&
    value !== null &&
    "oldestOffset" in value &&
    typeof value.oldestOffset === "number" &&
    "freedSegments" in value &&
    typeof value.freedSegments === "number" &&
    "freedBytes" in value &&
    typeof value.freedBytes === "number" &&
    "losses" in value &&
    Array.isArray(value.losses) &&
    value.losses.every(isLoss)
  );
}

function isLoss(value: unknown): value is PipelineLoss {
  return (
    typeof value === "object" &&
    value !== null &&
    "pipeline" in value &&
    typeof value.pipeline === "string" &&
    "recordCount" in value &&
    typeof value.recordCount === "number"
  );
}

function showReport(
  { before }: TruncateRequest,
  { oldestOffset, freedSegments, freedBytes, losses }: TruncateReport,
  terminal: Terminal,
): void {
  const freed =
    freedSegments === 0
      ? "nothing to free, no whole segment lies below it that nobody reads"
      : `freed ${counted(freedSegments, "segment")} of ${showSize(freedBytes)}`;
  terminal.print(
    `truncate before ${showCount(before)}: ${freed}; the log begins at offset ${showCount(oldestOffset)}`,
  );
  for (const { pipeline, recordCount } of losses)
    terminal.complain(`gap: pipeline ${pipeline} lost ${counted(recordCount, "record")}: dropped`);
}
