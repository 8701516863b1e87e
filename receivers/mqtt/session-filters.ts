/**
 * Which filters the broker's session has, as far as we know: kept in the log, so that a filter that left the
 * configuration is unsubscribed, and nothing is subscribed twice where that would bring retained messages again.
 */
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import type { Filters } from "./subscriptions.ts";

/** What the log takes as a position. */
const POSITION_BYTES_MAX = 4_096;

/** From what the session has to what is wanted. */
export interface FilterChange {
  readonly isNeeded: boolean;
  /** In the session, and wanted no more. */
  readonly stale: readonly string[];
  readonly wanted: Filters;
}

/** `isDone`: exactly these are subscribed; else some of them may be. */
interface Known {
  readonly isDone: boolean;
  readonly filters: readonly (readonly [string, number])[];
}

const NOTHING: Known = { isDone: false, filters: [] };

/** The memory of one session's filters. */
export class SessionFilters {
  readonly #context: Pick<ReceiverContext<unknown>, "resumePosition" | "storePosition" | "logger">;
  readonly #channel: string;

  constructor(
    context: Pick<ReceiverContext<unknown>, "resumePosition" | "storePosition" | "logger">,
    channel: string,
  ) {
    this.#context = context;
    this.#channel = channel;
  }

  change(isSessionPresent: boolean, wanted: Filters): FilterChange {
    const known = isSessionPresent ? decode(this.#context.resumePosition(this.#channel)) : NOTHING;
    const stale = known.filters.map(([filter]) => filter).filter((filter) => !wanted.has(filter));
    const isSame =
      known.isDone &&
      known.filters.length === wanted.size &&
      known.filters.every(([filter, qos]) => wanted.get(filter) === qos);
    return { isNeeded: !isSame, stale, wanted };
  }

  /** Before anything is asked of the broker: from here on the session may have any of these. */
  async begin({ stale, wanted }: FilterChange): Promise<void> {
    const before = stale.map((filter) => [filter, 0] as const);
    await this.#keep({ isDone: false, filters: [...before, ...wanted] });
  }

  async done(wanted: Filters): Promise<void> {
    await this.#keep({ isDone: true, filters: [...wanted] });
  }

  async #keep(known: Known): Promise<void> {
    const bytes = Buffer.from(JSON.stringify([known.isDone, known.filters]));
    // Nothing is known then: they are subscribed at each start, and one that leaves is not unsubscribed.
    const kept = bytes.length <= POSITION_BYTES_MAX ? bytes : Buffer.from("[]");
    if (kept !== bytes)
      this.#context.logger.warn(
        `the list of filters has ${bytes.length} bytes, ${POSITION_BYTES_MAX} can be remembered: a filter that leaves the configuration stays in the broker's session`,
      );
    await this.#context.storePosition(this.#channel, kept);
  }
}

function decode(position: Uint8Array | undefined): Known {
  if (position === undefined) return NOTHING;
  const [isDone, filters]: readonly unknown[] = JSON.parse(Buffer.from(position).toString("utf8"));
  if (typeof isDone !== "boolean" || !Array.isArray(filters)) return NOTHING;
  return { isDone, filters: filters.filter(isEntry) };
}

function isEntry(value: unknown): value is readonly [string, number] {
  return Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number";
}
