/**
 * Receivers whose records no pipeline reads: most often a name that was forgotten in a `from`.
 */
import type { Pipeline } from "./contract/graph.ts";
import type { Logger } from "./contract/logger.ts";
import type { HealthReason } from "./contract/status.ts";
import { receiversOf } from "./operator/pipeline.ts";

/** What is looked at of the options. */
interface Wiring {
  readonly receivers: readonly { readonly name: string }[];
  readonly pipelines: readonly Pipeline[];
}

/** A warning for each, RECEIVER_UNREAD. None where there are no pipelines: then the log itself is what is wanted. */
export function unreadReceivers({ receivers, pipelines }: Wiring): readonly HealthReason[] {
  if (pipelines.length === 0) return [];
  const read = new Set(pipelines.flatMap(receiversOf));
  return receivers
    .filter(({ name }) => !read.has(name))
    .map(({ name }) => ({
      unit: `receivers/${name}`,
      code: "RECEIVER_UNREAD",
      message: `no pipeline reads ${name}: what it receives is stored, and freed once the pipelines are past it`,
    }));
}

/** The same, told in the log. */
export function warnOfUnread(wiring: Wiring, logger: Logger): readonly HealthReason[] {
  const warnings = unreadReceivers(wiring);
  for (const { unit, code, message } of warnings) logger.warn(message, { unit, code });
  return warnings;
}
