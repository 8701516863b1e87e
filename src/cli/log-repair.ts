/**
 * `holdfast log repair`: sets damage aside, and says what it did.
 */
import { repairDirectory } from "../closed-log.ts";
import { realHost } from "../host/real-host.ts";
import type { LedgerRecovery } from "../wal/ledger.ts";
import type { Repair, Repaired } from "../wal/repair.ts";
import type { Call } from "./command.ts";
import { counted, showCount } from "./render.ts";

export async function repair({ terminal }: Call, directory: string): Promise<number> {
  const { ledger, logs } = await repairDirectory(realHost(), directory);
  for (const [name, found] of logs)
    for (const line of repairLines(name, found)) terminal.print(line);
  terminal.print(ledgerLine(ledger));
  return 0;
}

function repairLines(name: string, repair: Repair | undefined): readonly string[] {
  if (repair === undefined) return [`${name}: not there`];
  const { repaired, notes } = repair;
  const lost = repaired.reduce(
    (sum, { gap }) => sum + (gap === undefined ? 0 : gap.to - gap.from),
    0,
  );
  const summary =
    repaired.length === 0
      ? "nothing to repair"
      : `${counted(repaired.length, "damaged range")} set aside, ${counted(lost, "record")} lost; everything else is as it was`;
  return [
    `${name}: ${summary}`,
    ...repaired.flatMap(repairedLines),
    ...notes.map((note) => `  left as it is: ${note}`),
  ];
}

function repairedLines({ file, positions, gap, copies, copyError }: Repaired): readonly string[] {
  const bytes =
    positions === undefined ? "" : `, bytes ${positions[0]} to ${positions[1]} of ${file}`;
  const what =
    gap === undefined
      ? "no records lost"
      : `offsets ${showCount(gap.from)} to ${showCount(gap.to)} lost (${gap.reason}), recorded as a gap`;
  const failed =
    copyError === undefined
      ? []
      : [`    not copied: ${copyError}; the bytes are still in their file`];
  return [`  ${what}${bytes}`, ...copies.map((copy) => `    copied to ${copy}`), ...failed];
}

function ledgerLine(recovery: LedgerRecovery): string {
  switch (recovery.kind) {
    case "new":
    case "recovered":
      return "ledger: nothing to repair";
    case "damaged":
      return `ledger: ${counted(recovery.lostFacts, "fact")} lost; what is left goes on in a new file`;
    case "lost":
      return "ledger: lost; a new one begins, and pipelines begin at the oldest record again";
  }
}
