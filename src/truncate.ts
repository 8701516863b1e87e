/**
 * Shortens the log at its begin because someone said so: pipelines that would lose records are named, and lose
 * them only when that is wanted.
 */
import type { Ledger, OwnedLog, Truncation } from "./contract/log.ts";
import { HoldfastError } from "./errors.ts";
import { type Holder, holders } from "./retention.ts";

/** What is asked for. */
export interface TruncateRequest {
  /** Records below this offset may go. */
  readonly before: number;
  /** Also those that a pipeline has not processed. */
  readonly force: boolean;
}

/** Records that a pipeline will not see. */
export interface PipelineLoss {
  readonly pipeline: string;
  readonly recordCount: number;
}

/** What was done. */
export interface TruncateReport extends Truncation {
  /** Pipelines that lost records by it, the one that lost most first. */
  readonly losses: readonly PipelineLoss[];
}

/** What truncating works with. */
export interface TruncateParts {
  readonly log: Pick<OwnedLog, "truncate">;
  /** Where the log begins. */
  readonly oldestOffset: number;
  /** Where it ends. */
  readonly durableEnd: number;
  readonly ledger: Ledger;
  readonly wallMs: number;
}

/**
 * Frees the whole segments below an offset. The floor is durable in the ledger before a file is touched.
 *
 * @throws LOG_NEEDED when a pipeline has not processed everything below it, unless it is forced
 */
export async function truncateLog(
  parts: TruncateParts,
  { before, force }: TruncateRequest,
): Promise<TruncateReport> {
  const { log, ledger, oldestOffset, durableEnd, wallMs } = parts;
  const standing = holders(ledger, wallMs).toSorted((a, b) => a.offset - b.offset);
  const [slowest] = standing;
  const end = Math.min(before, durableEnd);
  if (slowest !== undefined && end > slowest.offset && !force)
    throw refusal(before, lossesUpTo(end, oldestOffset, standing), slowest);
  const truncation = await log.truncate(before, slowest?.offset ?? Infinity);
  return { ...truncation, losses: lossesUpTo(truncation.oldestOffset, oldestOffset, standing) };
}

/** What pipelines that stand below `end` lose when the log no longer begins at `begin` but there. */
function lossesUpTo(
  end: number,
  begin: number,
  standing: readonly Holder[],
): readonly PipelineLoss[] {
  return standing.flatMap(({ pipeline, offset }) => {
    const recordCount = end - Math.max(offset, begin);
    return recordCount > 0 ? [{ pipeline, recordCount }] : [];
  });
}

function refusal(
  before: number,
  losses: readonly PipelineLoss[],
  { pipeline, offset }: Holder,
): HoldfastError {
  const each = losses.map((loss) => `${loss.pipeline} ${loss.recordCount}`).join(", ");
  const lost = each === "" ? "" : `; records that would be lost at most: ${each}`;
  return new HoldfastError(
    "LOG_NEEDED",
    `truncate before ${before}: pipeline ${pipeline} stands at ${offset} and needs what follows${lost}`,
    { fix: `--before ${offset}, or --force to lose them` },
  );
}
