import { realClock } from "../../../src/host/clock.ts";
import type { Log } from "../../../src/contract/log.ts";
import { lines } from "../../../src/framing/delimited.ts";
import { MESSAGE_BYTES_DEFAULT } from "../../../src/framing/framing.ts";
import { Workspace } from "../../../src/framing/workspace.ts";
import { openBenchLog, origin } from "../bench-log.ts";
import { linesBlock, walRecordBytes } from "../blocks.ts";
import { nullFiles } from "../null-files.ts";

/** What hands records over. */
export interface CodeOptions {
  readonly source: "single records" | "blocks" | "chunks";
  readonly records: number;
}

export interface CodeNumbers {
  readonly cpuNsPerRecord: number;
}

/** Appends per commit: what many producers hand over while the disk is busy with the entry before. */
const singlesPerCommit = 1_000;
/** As much as one read of a busy socket gives. */
const chunkBytes = 65_536;
const blocksPerCommit = 8;
/** The largest: changing segments is not what is measured. */
const segmentBytes: number = 2 ** 30;

/** CPU of the whole process per record with files that do nothing. */
export async function code({ records, source }: CodeOptions): Promise<CodeNumbers> {
  const { log } = await openBenchLog({
    directory: "/null",
    files: nullFiles,
    segmentBytes,
    bytesMax: Number.MAX_SAFE_INTEGER,
    witnessAfterMs: 0,
  });
  const step = stepOf(log, source);
  await runSteps(log, step, records / 2);
  const before = process.cpuUsage();
  const done = await runSteps(log, step, records);
  const { system, user } = process.cpuUsage(before);
  await log.close();
  return { cpuNsPerRecord: ((user + system) * 1000) / done };
}

/** Appends one commit's worth and returns the records; the last promise settles after all others. */
type Step = () => { readonly recordCount: number; readonly last: Promise<unknown> };

async function runSteps(log: Log, step: Step, records: number): Promise<number> {
  const start = log.durableEnd;
  let done = 0;
  while (done < records) {
    const { last, recordCount } = step();
    await last;
    done += recordCount;
    // Garbage of a commit is young when the turn ends, as it is in a program that also does IO.
    if (done % 100_000 < recordCount) await realClock.yield();
  }
  if (log.durableEnd - start !== done)
    throw new Error(`${done} records appended, ${log.durableEnd - start} committed`);
  return done;
}

function stepOf(log: Log, source: CodeOptions["source"]): Step {
  const count = Math.floor(chunkBytes / walRecordBytes);
  const block = linesBlock(count);
  switch (source) {
    case "single records": {
      const single = linesBlock(1);
      return () => {
        let last: Promise<unknown> = Promise.resolve();
        for (let index = 0; index < singlesPerCommit; index += 1) last = log.append(single, origin);
        return { recordCount: singlesPerCommit, last };
      };
    }
    case "blocks":
      return () => {
        let last: Promise<unknown> = Promise.resolve();
        for (let index = 0; index < blocksPerCommit; index += 1) last = log.append(block, origin);
        return { recordCount: blocksPerCommit * count, last };
      };
    case "chunks": {
      const workspace = new Workspace();
      const splitter = lines().blockSplitter(workspace, MESSAGE_BYTES_DEFAULT);
      return () => {
        let last: Promise<unknown> = Promise.resolve();
        for (let index = 0; index < blocksPerCommit; index += 1)
          last = log.append({ ...splitter.push(block.values, 0), channel: "" }, origin);
        return { recordCount: blocksPerCommit * count, last };
      };
    }
  }
}
