/**
 * `holdfast log export`: records as JSON lines on stdout, gaps on stderr too.
 */
import { join } from "node:path";
import type { LogGap, LogItem } from "../contract/log.ts";
import type { StoredBlock } from "../contract/record.ts";
import { CODES, codeOf, HoldfastError } from "../errors.ts";
import { realHost } from "../host/real-host.ts";
import { LOG_DIRECTORY } from "../storage.ts";
import { type LogReading, openLogReading } from "../wal/log-reading.ts";
import type { Call } from "./command.ts";
import { offsetOption, timeOption } from "./log-arguments.ts";
import { gapLine, recordLine } from "./log-lines.ts";
import { readKnownLog } from "./log-ledger.ts";
import { counted, showCount } from "./render.ts";
import type { Terminal } from "./terminal.ts";

/** Text that is gathered before it is written, in characters. */
const TEXT_CHARACTERS = 64 * 1024;

/** What is wanted. */
interface Selection {
  readonly from: number | undefined;
  readonly to: number;
  /** Received at this time or later, and before the other. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly receiver: string | undefined;
}

export async function exportLog(call: Call, directory: string): Promise<number> {
  const { files, clock } = realHost();
  const selection = readSelection(call, clock.wallMs());
  const reading = await openReading(files, directory);
  if (reading === undefined) return 0;
  const lines = new LineWriter(call.terminal);
  try {
    await writeSelected(reading, selection, lines);
    await lines.flush();
    if (selection.to > reading.durableEnd) noteUnproven(reading, call.terminal);
  } catch (error) {
    // Whoever read the lines has seen enough: `head` does that.
    if (codeOf(error) !== "EPIPE") throw error;
  }
  return lines.gapCount > 0 ? CODES.LOG_DAMAGED.exitCode : 0;
}

function noteUnproven({ unprovenRecords, durableEnd }: LogReading, terminal: Terminal): void {
  if (unprovenRecords === 0) return;
  const records = `${counted(unprovenRecords, "record")} from offset ${showCount(durableEnd)} on`;
  terminal.complain(`${records} left out: written, and not yet known to be durable`);
}

/** Undefined when no log was ever written here. */
async function openReading(
  files: ReturnType<typeof realHost>["files"],
  directory: string,
): Promise<LogReading | undefined> {
  try {
    const known = await readKnownLog(files, directory, LOG_DIRECTORY);
    return await openLogReading(files, join(directory, LOG_DIRECTORY), known);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function readSelection(call: Call, nowMs: number): Selection {
  const from = offsetOption(call, "from");
  const to = offsetOption(call, "to") ?? Infinity;
  const sinceMs = timeOption(call, "since", nowMs) ?? -Infinity;
  const untilMs = timeOption(call, "until", nowMs) ?? Infinity;
  if (from !== undefined && from > to)
    throw new HoldfastError("USAGE", `--from is ${from}, behind --to, which is ${to}`, {
      fix: `--from ${to} --to ${from}`,
    });
  if (sinceMs > untilMs)
    throw new HoldfastError(
      "USAGE",
      `--since is ${call.text("since")}, later than --until, which is ${call.text("until")}`,
      { fix: `--since ${call.text("until")} --until ${call.text("since")}` },
    );
  return { from, to, sinceMs, untilMs, receiver: call.text("receiver") };
}

async function writeSelected(
  reading: LogReading,
  selection: Selection,
  lines: LineWriter,
): Promise<void> {
  const { from, sinceMs } = selection;
  // Of the whole log nothing is skipped: what is gone from its begin is a gap.
  const sinceOffset = sinceMs === -Infinity ? 0 : reading.offsetAt(sinceMs);
  const start = Math.max(from ?? reading.oldestOffset, sinceOffset);
  const to = Math.min(selection.to, reading.durableEnd);
  if (start >= to) return;
  // Nobody stops it but the reader of its lines, or a signal that ends the process.
  const { signal } = new AbortController();
  for await (const item of reading.read({ from: start, to }, signal))
    await writeItem(item, selection, lines);
}

async function writeItem(item: LogItem, selection: Selection, lines: LineWriter): Promise<void> {
  if (item.kind === "gap") return await lines.addGap(item);
  const { block } = item;
  if (selection.receiver !== undefined && selection.receiver !== block.receiver) return;
  for (let index = 0; index < block.count; index += 1)
    if (isSelected(block, index, selection) && lines.add(recordLine(block, index)))
      await lines.flush();
}

function isSelected(
  block: StoredBlock,
  recordIndex: number,
  { sinceMs, untilMs }: Selection,
): boolean {
  const timeMs = block.receivedAtMs(recordIndex);
  return timeMs >= sinceMs && timeMs < untilMs;
}

/** Gathers lines and writes them as fast as they are read: memory stays the same however long the log is. */
class LineWriter {
  readonly #terminal: Terminal;
  #text = "";
  gapCount = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** True when enough has gathered to be written. */
  add(line: string): boolean {
    this.#text += line;
    return this.#text.length >= TEXT_CHARACTERS;
  }

  async addGap({ from, to, reason }: LogGap): Promise<void> {
    this.gapCount += 1;
    this.#terminal.complain(
      `gap: offsets ${showCount(from)} to ${showCount(to)}, ${counted(to - from, "record")}: ${reason}`,
    );
    if (this.add(gapLine({ from, to, reason }))) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    if (text !== "") await this.#terminal.write(text);
  }
}
